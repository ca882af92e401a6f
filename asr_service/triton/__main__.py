"""python -m asr_service.triton"""

from asr_service.triton.commands import triton

if __name__ == "__main__":
    triton(prog_name="duoscribe triton")
