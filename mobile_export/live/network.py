"""Cameras of the network as a live source: RTSP, and MJPEG or an endless video over HTTP.

They drop out and come back: what breaks off is opened again, after pauses that grow, and the clock
runs on, so that the gap counts as missed ticks.
"""

import functools
import re
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import av
from tqdm import tqdm

from core.data.decode import Decoded, one_line, upright
from core.errors import BadInput
from mobile_export.live.sources import Frame, Interrupted

# Beside the address's own: what FFmpeg opens underneath. Only --source with an address opens these.
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp", "rtsps": "rtsps,rtsp,rtp,srtp,udp,tcp,tls",
    "http": "http,tcp", "https": "https,http,tls,tcp",
}  # fmt: skip
# No playlists, which name other addresses.
CONTAINERS = "rtsp,rtp,sdp,mpjpeg,mjpeg,mpegts,matroska,webm,mov,mp4,flv,h264,hevc"
PATIENCE = 10.0  # seconds without a frame after which a connection counts as lost
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds before each further attempt
HIDDEN = "***"  # in the place of a password


def is_address(name: str) -> bool:
    """Whether a source is named by an address of the network."""
    return re.match(r"[a-z]+://", name) is not None


def shown(address: str) -> str:
    """An address without its password, for messages."""
    parts = urlsplit(address)
    if parts.password is None:
        return address
    return address.replace(f":{parts.password}@", f":{HIDDEN}@", 1)


def network_frames(address: str, pauses: tuple[float, ...] = PAUSES) -> Iterator[Frame]:
    """Frames of a network camera, times in seconds from the first one by this machine's clock.

    Raises ``BadInput`` for an address of another kind, one that never gave a frame, or a video that
    has an end: its frames come as fast as the network is, which is not when they were seen.
    ``Interrupted`` when it stays away for all of ``pauses``.
    """
    scheme = urlsplit(address).scheme
    if scheme not in PROTOCOLS:
        raise BadInput(
            f"--source {shown(address)} is of another kind: give {', '.join(PROTOCOLS)}, a file or "
            "camera"
        )
    first, failed = None, 0
    while True:
        reason = "it ended"
        try:
            for decoded in _connected(address, PROTOCOLS[scheme]):
                now = time.monotonic()
                if first is None:
                    first = now
                elif failed:
                    tqdm.write(f"{shown(address)} is back", file=sys.stderr)
                failed = 0
                yield Frame(now - first, functools.partial(upright, decoded))
        except BadInput:
            raise
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = one_line(error).replace(address, shown(address))
        if first is None and failed >= 1:
            raise BadInput(
                f"--source {shown(address)} cannot be opened ({reason}): is the camera on, is the "
                "address right?"
            )
        if failed >= len(pauses):
            raise Interrupted(f"{shown(address)} stays away ({reason})")
        tqdm.write(f"{shown(address)}: {reason}; next try in {pauses[failed]:g} s", file=sys.stderr)
        time.sleep(pauses[failed])
        failed += 1


def _connected(address: str, protocols: str) -> Iterator[Decoded]:
    """Frames of one connection."""
    options = {"protocol_whitelist": protocols, "format_whitelist": CONTAINERS}
    if address.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # datagrams that are lost would be torn pictures
    with av.open(address, options=options, timeout=(PATIENCE, PATIENCE)) as container:
        if not container.streams.video:
            raise ValueError("no video in it")
        if container.duration:
            raise BadInput(
                f"--source {shown(address)} is a video of {container.duration / av.time_base:.1f} "
                "s, no camera: download it and give the file"
            )
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            yield Decoded(frame)
