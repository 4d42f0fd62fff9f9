from rich.table import Table

from sgpu_lightning.console import make_console, say


def wide_table():
    table = Table()
    for i in range(13):
        table.add_column(f"column{i:02d}")
    table.add_row(*["12345678"] * 13)
    return table


def test_a_wide_table_written_to_a_file_is_not_cut(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    make_console().print(wide_table())
    assert "column12" in capsys.readouterr().out


def test_columns_says_how_wide(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    make_console().print(wide_table())
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


def test_a_message_stands_as_it_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    text = "written to runs/[/b]/[red]/a path that is longer than the console is wide"
    say(text)
    assert capsys.readouterr().out == f"{text}\n"
