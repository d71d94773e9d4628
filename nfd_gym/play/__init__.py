"""Play a world: in a window, in a browser, or without any display.

`python -m nfd_gym.play` is the way in. `game.py` is the world being played and knows no display;
`loop.py` ticks it at its rate; `viewer.py` (pygame), `web.py` (aiohttp) and `headless.py` show it.
"""

OTHER_WAYS = (
    "use --web to play in a browser, or --headless --frames 200 --out play.mp4 to make a film"
)
