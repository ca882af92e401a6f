"""What the services can be told, as their command lines list it."""

import asr_service.__main__
import diarization_service.__main__
import gateway.__main__

COMMANDS = {
    "gateway": gateway.__main__.main,
    "asr": asr_service.__main__.main,
    "diarization": diarization_service.__main__.main,
}


def variables(service: str) -> dict[str, object]:
    """Default by environment variable."""
    return {option.envvar: option.default for option in COMMANDS[service].params if option.envvar}


def is_accepted(service: str, environment: dict[str, str]) -> bool:
    """Whether the service knows these variables, and takes their values. Raises click's UsageError where not."""
    if unknown := set(environment) - set(variables(service)):
        raise AssertionError(f"{service} knows no {', '.join(sorted(unknown))}")
    flags = {option.envvar: option.opts[0] for option in COMMANDS[service].params if option.envvar}
    arguments = [word for name, value in environment.items() for word in (flags[name], value)]
    with COMMANDS[service].make_context(service, arguments):
        return True
