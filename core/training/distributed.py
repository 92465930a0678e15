"""Several processes that train one model: where this one stands, and what they share.

Started by ``torchrun``, which sets the environment; without it there is one process. A step's batch
is cut into chunks, one a process and accumulation step, whose random draws depend on the chunk
alone: two processes compute what one process computes in two accumulation steps.
"""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

TIMEOUT = timedelta(hours=2)  # windows are rendered by one process while the others wait


@dataclass(frozen=True)
class World:
    """This process among all: ``local`` counts those of its machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files and prints."""
        return self.rank == 0


def start(cpu: bool) -> tuple[World, torch.device]:
    """Join the processes that ``torchrun`` started, each with its own GPU where there are any."""
    cuda = torch.cuda.is_available() and not cpu
    world = World(*(int(os.environ.get(n, d)) for n, d in
                    (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))))  # fmt: skip
    if cuda:
        torch.cuda.set_device(world.local)
    if world.size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo", timeout=TIMEOUT)
    return world, torch.device("cuda", world.local) if cuda else torch.device("cpu")


def stop() -> None:
    """Leave the other processes; nothing where there are none."""
    if dist.is_initialized():
        dist.destroy_process_group()


def wait() -> None:
    """Until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def parallel(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with gradients averaged over all processes; itself where there is one."""
    if not dist.is_initialized():
        return module
    ids = [device.index] if device.type == "cuda" else None
    # Batch-norm statistics of training are each process's own, as in the published runs; those of
    # the first process are validated and saved.
    return DistributedDataParallel(module, device_ids=ids, broadcast_buffers=False)


def everywhere(value: int, device: torch.device) -> list[int]:
    """A number of every process, by rank."""
    if not dist.is_initialized():
        return [value]
    own = torch.tensor([value], device=device)
    found = [torch.zeros_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(found, own)
    return [int(one) for one in found]


def mean(values: Tensor) -> Tensor:
    """The mean over all processes."""
    return total(values) / (dist.get_world_size() if dist.is_initialized() else 1)


def total(values: Tensor) -> Tensor:
    """The sum over all processes."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def share_buffers(module: nn.Module) -> None:
    """Give every process the first one's buffers: the statistics of batch norm."""
    if dist.is_initialized():
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)
