"""Real vLLM."""

from tests.vllm_fixtures import tiny_model, vllm_server, vllm_settings  # noqa: F401
