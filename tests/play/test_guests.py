"""The browser view's doors, seats and messages, without any socket."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nfd_gym.play.door import Door, cookie_name
from nfd_gym.play.messages import Allowance, BadMessageError, Message, parse_message
from nfd_gym.play.seats import GRACE_S, Seats


def test_a_link_admits_one_browser_and_the_next_link_is_another():
    door = Door()
    link = door.link_token
    assert door.is_current(link) and door.is_current(link)  # looking at a link does not use it up
    cookie = door.redeem(link)
    assert cookie is not None and door.knows(cookie)
    assert door.redeem(link) is None and door.link_token != link and not door.is_current(link)
    assert door.redeem("") is None and door.redeem("ü") is None
    assert not door.knows(None) and not door.knows("guess") and not door.knows(link)


def test_old_guests_stay_known_while_new_ones_come():
    door = Door()
    cookies = [door.redeem(door.link_token) for _ in range(70)]
    assert len(door.guests) == 64 and door.knows(cookies[-1]) and not door.knows(cookies[0])


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "127.0.0.1:1", "[::1]:8765"])
def test_loopback_names_are_this_machine_but_still_need_the_link(host):
    door = Door()
    assert not door.refuses_host(host) and not door.knows(None)


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "192.168.1.5:8765", "", "localhost.evil.example", "[::1", "[x]:1"]
)
def test_a_foreign_name_for_this_machine_is_refused(host):
    """An unfinished [address] was once an error of the server."""
    assert Door().refuses_host(host)


@pytest.mark.parametrize("host", ["lab.example:8765", "192.168.1.5:8765"])
def test_beyond_this_machine_any_name_may_be_ours(host):
    assert not Door(loopback=False).refuses_host(host)


def test_a_page_of_another_site_is_refused():
    door = Door()
    assert door.refuses_origin("http://evil.example", "127.0.0.1:8765")
    assert door.refuses_origin("null", "127.0.0.1:8765")
    assert door.refuses_origin("http://[::1", "127.0.0.1:8765")
    assert not door.refuses_origin("http://127.0.0.1:8765", "127.0.0.1:8765")
    assert not door.refuses_origin(None, "127.0.0.1:8765")  # not a browser


def test_two_games_on_one_machine_have_two_cookies():
    """Browsers send a cookie to every port of its machine."""
    names = [cookie_name(host) for host in ("127.0.0.1:8765", "[::1]:8766", "localhost", "a: ;b")]
    assert names == ["nfd_gym_8765", "nfd_gym_8766", "nfd_gym_80", "nfd_gym_80"]


def test_one_player_and_the_seat_is_kept_for_a_while():
    time = [0.0]
    seats = Seats(lambda: time[0])
    assert seats.join("ann") and not seats.join("bob")
    seats.leave("ann")
    assert not seats.free and not seats.join("bob")
    assert seats.join("ann")  # the tab came back
    seats.leave("ann")
    time[0] += GRACE_S + 1
    assert seats.free and seats.join("bob") and not seats.join("ann")


def test_a_viewer_who_leaves_does_not_free_the_seat():
    seats = Seats(lambda: 0.0)
    seats.join("ann")
    seats.leave("bob")
    assert seats.player == "ann" and not seats.free


def test_a_whole_message_is_understood():
    text = json.dumps({"keys": ["w", "left shift"], "dx": 3, "dy": -1.5, "wheel": 2, "stamp": 9.5})
    assert parse_message(text) == Message(frozenset({"w", "left shift"}), 3.0, -1.5, 2, 9.5)
    assert parse_message('{"take": true}').take
    assert parse_message("{}") == Message()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"w"',
        '{"keys": "w"}',
        '{"keys": [["w"]]}',
        '{"keys": ["rm -rf"]}',
        json.dumps({"keys": ["w"] * 33}),
        '{"dx": NaN}',
        '{"dx": Infinity}',
        '{"dx": 1e9}',
        '{"dx": true}',
        '{"dx": "3"}',
        '{"dy": [1]}',
        '{"wheel": 1000}',
        '{"unknown": 1}',
        '{"keys": ["w"]' + " " * 5000 + "}",
        "[" * 4000,
        '{"dx": ' + "9" * 4000 + "}",
    ],
)
def test_nonsense_is_one_kind_of_error(text):
    with pytest.raises(BadMessageError):
        parse_message(text)


@given(
    some.text(max_size=200)
    | some.recursive(some.none() | some.integers() | some.text(), some.lists).map(json.dumps)
)
def test_any_text_is_a_message_or_a_bad_message(text):
    try:
        assert isinstance(parse_message(text), Message)
    except BadMessageError:
        pass


def test_the_allowance_lets_bursts_pass_and_stops_floods():
    allowance = Allowance(100.0, now=0.0)
    assert all(allowance.spend(0.0) for _ in range(200)) and not allowance.spend(0.0)
    allowance = Allowance(100.0, now=0.0)
    assert all(allowance.spend(tick / 60) for tick in range(6000))
