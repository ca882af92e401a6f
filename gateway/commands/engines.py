"""`duoscribe engines`: the speech recognition service's own command."""

from gateway.commands.modules import of_module

engines = of_module("engines", "asr_service.engines", "Build, list, check and remove TensorRT engines.")
