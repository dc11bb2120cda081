"""``graft chat``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["chat"]


def chat(
    run: Path,
    /,
    *,
    system: str = "",
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    top_p: float = 1.0,
    precision: str = "auto",
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Talk with a fine-tuned language model in the terminal; its answers are written as they come.

    An empty line or Ctrl-D ends it; /new begins a new conversation.

    Parameters
    ----------
    run
        Folder that graft fit wrote.
    system
        What the model is told before all else.
    max_new_tokens
        Tokens of an answer.
    temperature
        0: the likeliest token each time; above, tokens are drawn.
    top_p
        Share of the probability that is drawn from.
    precision
        Auto, bf16 or fp32.
    device
        Auto, cpu, cuda or cuda:N.
    seed
        Of the draws.
    """
    from rich.console import Console

    from graft.api.chat import Chat

    console = Console(highlight=False, emoji=False)
    talk = Chat(
        run,
        precision=precision,
        device=device,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        system=system,
        seed=seed,
    )
    console.print("[dim]/new begins anew; an empty line or Ctrl-D ends[/dim]")
    while True:
        try:
            asked = console.input("[bold cyan]you[/]: ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if not asked:
            return
        if asked == "/new":
            talk.begin_anew()
            console.print("[dim]a new conversation[/dim]")
            continue
        console.print("[bold green]model[/]: ", end="")
        talk.say(asked, show=lambda piece: console.print(piece, end="", markup=False, soft_wrap=True))
        console.print()
