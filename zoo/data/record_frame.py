"""The frame of a record in a TFRecord file: its length, and the checksums of length and data."""

from typing import overload

import google_crc32c
import numpy as np

HEADER = 12  # bytes of the length (8, little endian) and of its masked CRC-32C
FOOTER = 4  # bytes of the masked CRC-32C of the data


@overload
def masked(crc: int) -> int: ...
@overload
def masked(crc: np.ndarray) -> np.ndarray: ...
def masked(crc: np.ndarray | int) -> np.ndarray | int:
    """Masks CRC-32C checksums as in TFRecord files.

    Args:
        crc: checksums, a Python integer or int64 of any shape.

    Returns:
        The checksums, rotated and offset, 32 bits each.

    Example:
        >>> masked(0)
        2726488792
    """
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Returns the masked CRC-32C of bytes.

    Args:
        data: any bytes.

    Returns:
        The checksum, 32 bits.

    Example:
        >>> masked_crc32c(b"")
        2726488792
    """
    return masked(google_crc32c.value(data))


def header(length: int) -> bytes:
    """Returns the bytes that precede the data of a record.

    Args:
        length: number of bytes of the data.

    Returns:
        `HEADER` bytes.

    Example:
        >>> header(3)[:8]
        b'\\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00'
    """
    size = length.to_bytes(8, "little")
    return size + masked_crc32c(size).to_bytes(4, "little")
