"""What keeps a candidate from passing, in words."""

from lineage.verdicts import FAIL, INSUFFICIENT, PASS, reasons


def rule(verdict, says, decides=True):
    return {"verdict": verdict, "says": says, "decides": decides}


def test_what_failed_comes_first_and_the_rest_is_marked():
    rules = [
        rule(INSUFFICIENT, "only 1 image"), rule(PASS, "fine"), rule(FAIL, "0.1, below 0.7"),
        rule(INSUFFICIENT, "does not matter", decides=False),
    ]  # fmt: skip
    assert reasons({"rules": rules}) == ["0.1, below 0.7", "(too little evidence) only 1 image"]
    assert reasons({"rules": rules[:2]}) == ["only 1 image"]
