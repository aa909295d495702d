"""What a failed call raises.

``MlflowhaError`` is the base of all. Each kind has a class of its own that also inherits the fitting builtin, so that
``except TimeoutError`` and ``except ConnectionError`` work. Input of the wrong type raises a plain ``TypeError``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar


class Attempt:
    """One try of a call at one server."""

    __slots__ = (
        "duration",
        "endpoint",
        "http_status",
        "maybe_applied",
        "outcome",
        "purpose",
        "started",
        "transport_code",
    )

    def __init__(
        self,
        endpoint: str,
        purpose: str,
        outcome: str,
        started: float,
        duration: float,
        http_status: int,
        transport_code: int,
        maybe_applied: bool,
    ) -> None:
        self.endpoint = endpoint  #: "http://a:5000"
        self.purpose = purpose  #: "call", "verify", "identify", "version" or "probe"
        self.outcome = outcome  #: "connect refused", "503 TEMPORARILY_UNAVAILABLE", ...
        self.started = started  #: seconds after the call's start
        self.duration = duration  #: seconds
        self.http_status = http_status  #: 0 when nothing was answered
        self.transport_code = transport_code  #: libcurl's code, 0 when not applicable
        self.maybe_applied = maybe_applied  #: this attempt may have had an effect on the server

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attempt) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        status = f", {self.http_status}" if self.http_status else ""
        return f"Attempt({self.endpoint}, {self.purpose}, {self.outcome}{status}, {self.duration:.3f} s)"


class MlflowhaError(Exception):
    """A failed call. ``str(error)`` is the whole story: a summary, then a line an attempt."""

    kind = "internal"
    code: str = "internal"  #: what went wrong, more closely: "connect_failed", "not_found", ... (docs/errors.md)
    code_number: int = 900
    http_status: int = 0  #: of the answer that decided; 0 when none
    error_code: str = ""  #: MLflow's own, e.g. "RESOURCE_DOES_NOT_EXIST"
    message: str = ""
    effect: str = "none"  #: whether the server may have carried it out: "none", "unknown" or "applied"
    stop_reason: str = "none"  #: why there was no further attempt: "permanent", "deadline", ...
    attempts: tuple[Attempt, ...] = ()
    request_id: str = ""  #: also sent as X-Request-Id
    story: str = ""

    def __str__(self) -> str:
        return self.story or self.message or super().__str__()

    def __reduce__(self) -> tuple[object, ...]:
        return (_revive, (type(self), self.args, dict(self.__dict__)))

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind in ("unavailable", "timeout", "circuit_open", "no_endpoint", "rate_limited")


_E = TypeVar("_E", bound=MlflowhaError)


class InvalidArgumentError(MlflowhaError, ValueError):
    """A value that MLflow or this library refuses."""

    kind = "invalid_argument"


class NotFoundError(MlflowhaError, LookupError):
    """MLflow has no such object."""

    kind = "not_found"


class AlreadyExistsError(MlflowhaError, ValueError):
    """MLflow has an object of that name."""

    kind = "already_exists"


class UnauthenticatedError(MlflowhaError, PermissionError):
    """The server doesn't know who we are (401)."""

    kind = "unauthenticated"


class PermissionDeniedError(MlflowhaError, PermissionError):
    """The server knows who we are and refuses (403)."""

    kind = "permission_denied"


class RateLimitedError(MlflowhaError, ConnectionError):
    """The server has too much to do (429)."""

    kind = "rate_limited"


class ConflictError(MlflowhaError):
    """The object isn't in a state that allows this."""

    kind = "conflict"


class UnavailableError(MlflowhaError, ConnectionError):
    """No server could serve the call; later one may."""

    kind = "unavailable"


class DeadlineExceededError(MlflowhaError, TimeoutError):
    """The call's time is up."""

    kind = "timeout"


class CancelledError(MlflowhaError):
    """The call was cancelled."""

    kind = "cancelled"


class CircuitOpenError(MlflowhaError, ConnectionError):
    """The circuit breaker of every server is open."""

    kind = "circuit_open"


class NoEndpointError(MlflowhaError, ConnectionError):
    """No server of the list may be used: refused, or forced open."""

    kind = "no_endpoint"


class UnsupportedError(MlflowhaError, NotImplementedError):
    """The servers' release doesn't have this operation."""

    kind = "not_implemented"


class ProtocolError(MlflowhaError):
    """An answer that makes no sense."""

    kind = "protocol"


class StorageError(MlflowhaError, OSError):
    """A file on this machine's disk: of the spool, or one to send or to write."""

    kind = "storage"


class InternalError(MlflowhaError, RuntimeError):
    """A fault of this library: please report it."""

    kind = "internal"


_CLASSES: dict[str, type[MlflowhaError]] = {
    one.kind: one
    for one in (
        InvalidArgumentError,
        NotFoundError,
        AlreadyExistsError,
        UnauthenticatedError,
        PermissionDeniedError,
        RateLimitedError,
        ConflictError,
        UnavailableError,
        DeadlineExceededError,
        CancelledError,
        CircuitOpenError,
        NoEndpointError,
        UnsupportedError,
        ProtocolError,
        StorageError,
        InternalError,
    )
}


def _revive(kind: type[MlflowhaError], args: tuple[object, ...], state: dict[str, object]) -> MlflowhaError:
    error = kind(*args)
    error.__dict__.update(state)
    return error


def _from_core(
    kind: str,
    code: str,
    code_number: int,
    http_status: int,
    error_code: str,
    message: str,
    effect: str,
    stop_reason: str,
    attempts: Iterable[tuple[str, str, str, float, float, int, int, bool]],
    request_id: str,
    story: str,
) -> MlflowhaError:
    error = _CLASSES.get(kind, MlflowhaError)(message)
    error.code = code
    error.code_number = code_number
    error.http_status = http_status
    error.error_code = error_code
    error.message = message
    error.effect = effect
    error.stop_reason = stop_reason
    error.attempts = tuple(Attempt(*attempt) for attempt in attempts)
    error.request_id = request_id
    error.story = story
    return error


def found_here(kind: type[_E], code: str, number: int, message: str) -> _E:
    """An error that this package found by itself, with the code and number of docs/errors.md."""
    error = kind(message)
    error.code, error.code_number, error.message = code, number, message
    return error


def invalid(message: str) -> InvalidArgumentError:
    """The error for input that was refused before anything was sent."""
    return found_here(InvalidArgumentError, "invalid_argument", 100, message)
