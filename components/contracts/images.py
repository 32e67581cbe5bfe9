"""The container image of each dependency group. A step names its image by group; `infra/images` builds them."""

VERSION = "0.1.0"
CUDA_VARIANT = "-cuda"  # suffix of a tag: the same group with GPU libraries, for the groups that compute on a GPU

DATA = f"reland/data:{VERSION}"
ENCODER = f"reland/encoder:{VERSION}"
TUNING = f"reland/tuning:{VERSION}"
GENERATION = f"reland/generation:{VERSION}"
POOL = f"reland/pool:{VERSION}"
RANKER = f"reland/ranker:{VERSION}"
FEATURES = f"reland/features:{VERSION}"
TRITON = f"reland/triton:{VERSION}"

# Serving: the gateway, and the official Triton image of NVIDIA's NGC with an unprivileged user.
# It holds Triton 2.51, the version that nvidia-pytriton 0.7 carries, with ONNX Runtime 1.19, which reads ONNX up to IR
# version 10 and operator set 21.
GATEWAY = f"reland/gateway:{VERSION}"
TRITON_SERVING = f"reland/triton-server:{VERSION}"
TRITON_SERVER = "nvidia/tritonserver:24.10-py3"
