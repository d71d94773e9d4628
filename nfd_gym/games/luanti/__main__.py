"""`python -m nfd_gym.games.luanti` says whether this machine can run Luanti-v0; `sheet` and `map`
draw the island: 24 views of the running game, or what a recording has seen of it from above."""

import argparse
from pathlib import Path

from nfd_gym.games.luanti import install


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m nfd_gym.games.luanti", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    sheet = commands.add_parser("sheet", help="24 views of the running game as a PNG file")
    chart = commands.add_parser("map", help="top view and coverage of a recording as a PNG file")
    chart.add_argument("store", help="a folder of clips with depth")
    for command in (sheet, chart):
        command.add_argument("--out", required=True, help="the PNG file to write")
    args = parser.parse_args()
    if args.command is None:
        return install.main()
    from nfd_gym.games.luanti import pictures

    if args.command == "sheet":
        pictures.save(pictures.sheet(), Path(args.out))
        return 0
    picture, share = pictures.chart(Path(args.store))
    pictures.save(picture, Path(args.out))
    print(f"{args.out}: the eye has been in {share:.1%} of the island; {pictures.legend()}")
    return 0


raise SystemExit(main())
