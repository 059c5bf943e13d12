"""Memory as the configuration wants it."""

from __future__ import annotations

from opencraw.config import Configuration
from opencraw.memory.embedding import Embedder
from opencraw.memory.memory import Memory
from opencraw.memory.vectors import Vectors
from opencraw.store.database import Database


def open_memory(configuration: Configuration, database: Database) -> Memory | None:
    """What is known beyond a conversation; None when nothing is to be remembered. It connects to a
    model for vectors when it runs."""
    settings = configuration.memory
    if not settings.enabled:
        return None
    vectors = None
    if settings.embedding.model:
        secret = settings.embedding.api_key or configuration.keys.openai_api_key
        key = secret.get_secret_value().strip() if secret is not None else None
        vectors = Vectors(
            database,
            Embedder(settings.embedding, key),
            min_similarity=settings.embedding.min_similarity,
        )
    return Memory(database, configuration.sessions.links, vectors)
