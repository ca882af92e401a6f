"""One trace a recording: from the caller through the gateway to both services (OpenTelemetry, W3C Trace Context).

    stages     spans of a call's parts, a bounded number of them; what this module offers
    calls      a span around every call that is taken or made, and what travels between the two
    export     where spans go

Spans are made for each stage and never for each message, so an upload costs the same with and without them. They hold ids,
sizes, times and statuses; never audio, text of a transcript, or credentials. Without an endpoint nothing is recorded, and a
caller's trace is still passed on and named in log lines.
"""

from serving.tracing.stages import describe, happened, model_names, over, stage

__all__ = ["describe", "happened", "model_names", "over", "stage"]
