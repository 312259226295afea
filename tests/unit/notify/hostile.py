"""Texts as an attacker, a careless label or a broken exporter writes them; and any text at all."""

from __future__ import annotations

from hypothesis import strategies as st

HOSTILE = {
    "a mention of everybody": "<!channel> disk full",
    "a mention of a person": "ask <@U012AB3CD> or @here",
    "a group": "<!subteam^S012|oncall>",
    "a link in disguise": "<https://evil.example|https://grafana.example>",
    "a bare link": "see https://evil.example/x_y?a=1&b=2",
    "a plain link": "log in at https://evil.example/login",
    "a mail link": "mailto:root@example.org",
    "a channel": "<#C012AB3CD> and #general",
    "an entity": "&lt;!channel&gt; is not a mention",
    "a date": "<!date^1392734382^{date}|now>",
    "bold": "*all clear*, nothing to do",
    "italic and struck": "_all_ ~broken~",
    "metric names": 'rate(http_requests_total{code=~"5.."}[5m]) > 0.05',
    "code": "run `rm -rf /` now",
    "a fence": "``` \n<!channel>\n```",
    "half a fence": "x```",
    "an emoji": ":white_check_mark: :100: fixed",
    "a quote": "> as somebody said",
    "an escaped quote": "&gt; as somebody said",
    "lines": "title\n\n*PAGE* all\r\nof you\u2028now",
    "control characters": "a\x00b\x1b[31mred\x07",
    "text that runs backwards": "\u202eegap\u202c",
    "half a surrogate": "\ud800",
    "shell and templates": "$(reboot) {{ labels }} {% raw %}",
    "nothing": "",
    "blanks": " \t\n ",
    "a very long word": "x" * 10_000,
    "very many words": "a_b " * 10_000,
    "nothing but backticks": "`" * 200,
    "nothing but ampersands": "&" * 5_000,
}

#: Text in which markup is as likely as letters.
markup = st.text(st.sampled_from("ab1 *_~`<>&|@#!:/.-\n\t\r\\\u200b\u202e\ud800\U0001f600"), max_size=300)
anything = st.text(st.characters(), max_size=120) | markup | st.sampled_from(list(HOSTILE.values()))
