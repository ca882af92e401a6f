"""A transducer with as few nodes as compute the same: a search launches each of them at every step."""

from asr_service.engines.ort.graphs.contexts import tabulate_contexts
from asr_service.engines.ort.graphs.lookup import tabulate
from asr_service.engines.ort.graphs.lstm import write_out_lstms
from asr_service.engines.ort.graphs.probe import measure
from asr_service.engines.ort.graphs.squeezing import squeeze
from asr_service.engines.ort.graphs.transducer import Transducer
from asr_service.engines.ort.graphs.unstacking import unstack


def lean(model: Transducer) -> Transducer:
    """Raises ModelUnavailable where the model cannot compute several rows side by side."""
    model = tabulate_contexts(unstack(write_out_lstms(model)))
    return tabulate(squeeze(model, measure(model)))
