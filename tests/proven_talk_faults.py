"""Which test produces each fault of TALK_FAULTS for real: its file and the text that names it."""

from __future__ import annotations

REFUSED = "test_refusals_explained.py"
REWRITTEN = f"{REFUSED}::test_request_that_was_changed_on_the_way"
TALKS = "test_strangers.py::test_talk_of_another_server_is_named"
CLOSES = "test_strangers.py::test_close_code_is_explained"
PATHS = "test_bad_paths.py"

PROVEN: dict[str, str] = {
    # Refusals
    "bad_request": f"{REWRITTEN}[not HTTP]",
    "no_host": f"{REWRITTEN}[Host left out]",
    "bad_upgrade": f"{REWRITTEN}[key left out]",
    "head_timeout": f"{REFUSED}::test_head_that_is_held_back",
    "head_too_large": f"{REWRITTEN}[fat head]",
    "method_not_allowed": f"{REWRITTEN}[other method]",
    "not_found": f"{REFUSED}::test_prefix_that_the_gateway_does_not_have",
    "authorization_conflict": f"{REWRITTEN}[token twice]",
    "token_malformed": f"{REWRITTEN}[token in another form]",
    "token_mistyped": f"{REFUSED}::test_mistyped_token",
    "token_unknown": f"{REFUSED}::test_token_of_another_gateway",
    "token_retired": f"{REFUSED}::test_retired_token",
    "wrong_class": f"{REFUSED}::test_token_of_another_class",
    "tokens_closed": f"{REFUSED}::test_closed_window",
    "too_many_requests": f"{REFUSED}::test_too_many_requests",
    "too_many_attempts": f"{REFUSED}::test_too_many_wrong_tokens",
    "unknown_class": f"{REFUSED}::test_unknown_class",
    "websocket_version": f"{REWRITTEN}[other version]",
    "too_many_connections": f"{REFUSED}::test_too_many_connections_from_one_address",
    "full": f"{REFUSED}::test_full_gateway",
    "cannot_record": f"{REFUSED}::test_gateway_whose_disk_takes_no_more",
    "draining": f"{REFUSED}::test_draining_gateway",
    "token_not_offered": f"{REFUSED}::test_class_of_which_there_is_no_token",
    "refused_otherwise": f"{REFUSED}::test_refusal_of_a_newer_gateway_tells_its_own_hint",
    # Close codes
    "close_1000": f"{CLOSES}[1000]",
    "close_1001": f"{CLOSES}[1001]",
    "close_1002": f"{CLOSES}[1002]",
    "close_1003": f"{CLOSES}[1003]",
    "close_1005": "test_strangers.py::test_close_without_a_code_is_explained",
    "close_1007": f"{CLOSES}[1007]",
    "close_1008": f"{CLOSES}[1008]",
    "close_1009": f"{REFUSED}::test_message_over_the_limit_of_the_class",
    "close_1011": f"{CLOSES}[1011]",
    "close_1012": f"{REFUSED}::test_gateway_that_restarts_meanwhile",
    "close_4408": f"{CLOSES}[4408]",
    "close_4409": f"{CLOSES}[4409]",
    "close_4413": f"{CLOSES}[4413]",
    "close_4501": f"{REFUSED}::test_token_that_is_revoked_meanwhile",
    "close_4503": f"{REFUSED}::test_name_that_belongs_to_another_token",
    "close_other": "test_strangers.py::test_close_code_of_another_server_is_shown[3000]",
    # The talk
    "hello_unanswered": f"{PATHS}::test_buffer_that_holds_back_what_the_gateway_says",
    "words_broken": f"{TALKS}[echo]",
    "answered_with_error": f"{TALKS}[error]",
    "message_unanswered": f"{REFUSED}::test_disk_that_takes_nothing_leaves_messages_unanswered",
    "large_message_lost": f"{PATHS}::test_large_frames_are_lost",
    "large_message_cut": f"{PATHS}::test_cut_at_a_large_message",
    "ping_unanswered": f"{PATHS}::test_pings_or_pongs_are_lost",
    "cut": f"{PATHS}::test_cut_after_some_bytes",
    "cut_when_silent": (
        "real/test_proxy_faults.py::test_idle_limit_of_a_proxy_is_a_cut_in_the_silence"
    ),
    "too_slow": f"{PATHS}::test_slow_path_is_too_slow_for_who_says_so",
    "too_lossy": f"{PATHS}::test_lossy_path_is_too_lossy_for_who_says_so",
}

NOT_PROVEN: dict[str, str] = {
    "token_missing": "a probe sends a token always, or stops where it gets none; for who reads the"
    " table, since a device without a token is told this. On the way it is token_stripped",
}
"""Faults that no test produces, and why."""
