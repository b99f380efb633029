"""Between the plain bytes of a part and those that are stored: compression, encryption, and back."""

from __future__ import annotations

from containers_app.archives.codecs.decoder import DecodedPart, decoded
from containers_app.archives.codecs.encoder import EncodedSink, Stored, encoding_writer
from containers_app.archives.codecs.keys import Keys

__all__ = ["DecodedPart", "EncodedSink", "Keys", "Stored", "decoded", "encoding_writer"]
