"""`duoscribe triton`: the speech recognition service's own command."""

from gateway.commands.modules import of_module

triton = of_module(
    "triton", "asr_service.triton", "Write recognition models as repositories of NVIDIA's Triton."
)
