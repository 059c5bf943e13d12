"""How each vendor says no, before an answer and in the middle of one."""

from __future__ import annotations

from tests.fakes.model_wire import Json, data, named

_OPENAI: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("invalid_request_error", "insufficient_funds"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", "service_unavailable"),
}
_ANTHROPIC: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

#: An event whose JSON is cut off.
GARBAGE = b'data: {"type":"response.output_text.delta","choices":[{"delta":{"con\n\n'


def error(wire: str, status: int, message: str) -> Json:
    if wire == "messages":
        kind = _ANTHROPIC.get(status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": "req_fake",
        }
    name, code = _OPENAI.get(status, ("server_error", None))
    return {"error": {"message": message, "type": name, "param": None, "code": code}}


def billing(wire: str) -> tuple[int, Json]:
    """A spent account, in each vendor's most misleading way."""
    if wire == "messages":
        said = "Your credit balance is too low to access the Anthropic API."
        return 400, error(wire, 400, said)
    body = error(wire, 429, "You exceeded your current quota, please check your plan.")
    body["error"] |= {"type": "insufficient_quota", "code": "insufficient_quota"}
    return 429, body


def overflow(wire: str) -> tuple[int, Json]:
    """A prompt that is longer than the model's context."""
    if wire == "messages":
        return 400, error(wire, 400, "prompt is too long: 200001 tokens > 200000 maximum")
    said = "This model's maximum context length is 128000 tokens."
    body = error(wire, 400, said)
    body["error"]["code"] = "context_length_exceeded"
    return 400, body


def in_stream(wire: str) -> bytes:
    """What comes instead of the rest when the server breaks while it answers."""
    if wire == "messages":
        return named(error(wire, 529, "Overloaded"))
    if wire == "responses":
        return named(
            {
                "type": "error",
                "code": "server_error",
                "message": "The server had an error.",
                "param": None,
                "sequence_number": 99,
            }
        )
    return data(error(wire, 500, "The server had an error while processing your request."))


def missing(wire: str) -> bytes:
    """An event of a known kind without what it must have."""
    if wire == "messages":
        return named({"type": "content_block_delta", "index": 0})
    if wire == "responses":
        return named({"type": "response.output_text.delta", "sequence_number": 9})
    return data({"id": "chatcmpl-fake", "object": "chat.completion.chunk"})
