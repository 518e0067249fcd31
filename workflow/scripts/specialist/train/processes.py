"""Training in several processes: each computes a part of a batch, and DDP averages the gradients.

Together the processes take the steps of one process, up to rounding: a step has the same rows.
`specialist.engine.processes` starts them.
"""

import contextlib
import functools


def group():
    """The processes of this training: `accelerate.PartialState`, with nccl or gloo."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


class SharedCheckpoints:
    """The checkpoints of a run, which the first process writes.

    Args:
        checkpoints: an object like `specialist.engine.checkpoints.Checkpoints`.
        group: see `group`.
    """

    def __init__(self, checkpoints, group):
        self.checkpoints, self.group, self.folder = checkpoints, group, checkpoints.folder

    def due(self):
        """Whether it is time for another; the same answer in all processes."""
        import torch

        answer = torch.tensor([float(self.checkpoints.due())], device=self.group.device)
        torch.distributed.broadcast(answer, 0)
        return bool(answer.item())

    def last(self):
        return self.checkpoints.last()

    def load(self):
        return self.checkpoints.load()

    def keep(self, path, step):
        self.group.wait_for_everyone()  # each process writes a part of it
        if self.group.is_main_process:
            self.checkpoints.keep(path, step)
        self.group.wait_for_everyone()

    def save(self, step, state):
        if self.group.is_main_process:
            self.checkpoints.save(step, state)


class DividedMuon:
    """Muon whose matrices are divided among the processes.

    Orthogonalising is most of its work, so each process does it for some matrices, keeps the
    momentum of only these, and sends them to the others.

    Args:
        muon: an optimizer like `torch.optim.Muon` of all matrices; it is changed.
        group: see `group`.
    """

    def __init__(self, muon, group):
        self.muon, self.group, self.param_groups = muon, group, muon.param_groups
        [settings] = muon.param_groups
        self.matrices = settings["params"]
        self.owners = owners([tuple(each.shape) for each in self.matrices], group.num_processes)
        pairs = enumerate(zip(self.matrices, self.owners, strict=True))
        own = {place: each for place, (each, owner) in pairs if owner == group.process_index}
        self.own, settings["params"] = own, list(own.values())

    def step(self):
        """Take a step with the gradients that all processes share."""
        import torch

        if self.own:
            self.muon.step()
        with torch.no_grad():
            sent = [
                torch.distributed.broadcast(matrix, owner, async_op=True)
                for matrix, owner in zip(self.matrices, self.owners, strict=True)
            ]
            for each in sent:
                each.wait()

    def zero_grad(self):
        for matrix in self.matrices:
            matrix.grad = None

    def state_dict(self):
        """The state of all matrices in the form of a single process; complete in the first one."""
        import torch

        mine = {
            place: {name: value.cpu() for name, value in self.muon.state[matrix].items()}
            for place, matrix in self.own.items()
        }
        parts = [None] * self.group.num_processes if self.group.is_main_process else None
        torch.distributed.gather_object(mine, parts, 0)
        state = {place: kept for part in parts or [] for place, kept in part.items()}
        groups = [{**self.param_groups[0], "params": list(range(len(self.matrices)))}]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, values):
        for place, matrix in self.own.items():
            kept = values["state"][place]
            self.muon.state[matrix] = {name: value.to(matrix) for name, value in kept.items()}


def owners(shapes, count):
    """The process of each matrix: the largest first, each to the process with the least work.

    Args:
        shapes: list of (rows, columns).
        count: number of processes.
    """
    work, found = [0] * count, [0] * len(shapes)
    for place in sorted(range(len(shapes)), key=lambda place: -_work(*shapes[place])):
        found[place] = work.index(min(work))
        work[found[place]] += _work(*shapes[place])
    return found


def _work(rows, columns):
    """Multiplications of an orthogonalisation, up to a factor."""
    return rows * columns * min(rows, columns)


@contextlib.contextmanager
def divided(pretraining):
    """Have `specialist.train.pretraining` divide each batch among the processes.

    The steps call its functions by their names. A second copy of the steps would have to follow
    each of their changes, and an argument would change the digest of every pretraining.

    Args:
        pretraining: the module.
    """
    shared, alone = group(), dict(vars(pretraining))
    changed = {
        "optimizers": functools.partial(_optimizers, alone["optimizers"], shared),
        "loss_of": functools.partial(_loss_of, _Averaged(alone["loss_of"], shared)),
        "train": functools.partial(_train, alone["train"], shared),
        "finish": functools.partial(_finish, alone["finish"], shared),
    }
    vars(pretraining).update(changed)
    try:
        yield
        shared.wait_for_everyone()
    finally:
        vars(pretraining).update({name: alone[name] for name in changed})
        shared.destroy_process_group()


class _Rows:
    """The part of each batch that a process computes; see `specialist.train.rows.Rows`."""

    def __init__(self, rows, group):
        self.rows, self.group, self.sequence = rows, group, rows.sequence

    def order(self, *given):
        return self.rows.order(*given)

    def batch(self, numbers, device):
        return self.rows.batch(
            numbers[self.group.process_index :: self.group.num_processes], device
        )


class _Averaged:
    """The loss of a batch that is divided into parts of the same size, one for each process."""

    def __init__(self, loss_of, group):
        self.loss_of, self.group, self.wrapped = loss_of, group, {}

    def __call__(self, model, ids, positions):
        import torch

        if not torch.is_grad_enabled():  # held-out text, in one process
            return self.loss_of(model, ids, positions)
        loss = self._parallel(model)(ids, positions)
        mean = loss.detach().clone()
        torch.distributed.all_reduce(mean)
        # The value is that of the whole batch, the gradient that of the part.
        return loss + (mean / self.group.num_processes - loss.detach())

    def _parallel(self, model):
        """DDP around the loss of a model: it averages gradients while they are computed."""
        import torch

        if id(model) not in self.wrapped:
            loss_of = self.loss_of

            class Loss(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.model = model

                def forward(self, ids, positions):
                    return loss_of(self.model, ids, positions)

            ddp = torch.nn.parallel.DistributedDataParallel(Loss(), forward_sync_buffers=False)
            self.wrapped[id(model)] = ddp
        return self.wrapped[id(model)]


def _loss_of(averaged, *given):
    return averaged(*given)


def _optimizers(alone, group, *given):
    muon, others = alone(*given)
    return [DividedMuon(muon, group), others]


def _train(alone, group, model, optimizers, data, device, checkpoints, *given, **settings):
    shared = SharedCheckpoints(checkpoints, group)
    return alone(model, optimizers, _Rows(data, group), device, shared, *given, **settings)


def _finish(alone, group, *given):
    if group.is_main_process:
        alone(*given)


def divide_trainer(trainer, batch_size):
    """Have a trl trainer compute in several processes what it computes in one.

    Args:
        trainer: what `_trainer` of the step train_lora made, with the batch of one process.
        batch_size: conversations in a batch of the evaluation.

    Returns:
        the trainer; it is changed.
    """
    import torch

    if not torch.cuda.is_available():
        trainer.compute_loss = functools.partial(_loss, trainer, trainer.compute_loss)
    trainer.evaluate = functools.partial(_evaluate, trainer, batch_size)
    return trainer


class _Inside:
    """A model in DDP: it is called through DDP, and its parts are those of the model."""

    def __init__(self, ddp):
        self.ddp = ddp

    def __call__(self, **inputs):
        return self.ddp(**inputs)

    def __getattr__(self, name):
        return getattr(self.ddp.module, name)


def _loss(trainer, alone, model, inputs, return_outputs=False, num_items_in_batch=None):
    """The loss on a processor, where `specialist.train.finetuning` computes it."""
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(model, DistributedDataParallel):
        model = _Inside(model)
    found = alone(model, inputs, return_outputs, num_items_in_batch)
    if num_items_in_batch is None:
        return found
    # The number counts the tokens of all processes, and DDP averages their gradients.
    loss = found[0] if return_outputs else found
    loss = loss * trainer.accelerator.num_processes
    return (loss, found[1]) if return_outputs else loss


def _evaluate(trainer, batch_size):
    """{"eval_loss": mean loss} of the whole evaluation, in each process.

    The trainer would give each process a part, in batches of another size: the mean over batches
    would be another one.
    """
    import torch
    from torch.utils.data import DataLoader

    dataset = trainer._remove_unused_columns(trainer.eval_dataset, "evaluation")
    trainer.model.eval()
    total = 0.0
    for batch in DataLoader(dataset, batch_size, collate_fn=trainer.data_collator):
        count = len(batch["input_ids"])
        with torch.no_grad(), trainer.compute_loss_context_manager():
            inputs = trainer._prepare_inputs(batch)
            loss, _ = trainer.compute_loss(trainer.model, inputs, return_outputs=True)
        total += loss.item() * count
    found = {"eval_loss": total / len(dataset)}
    trainer.log(dict(found))
    return found
