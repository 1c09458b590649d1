"""Which real test makes each fault: file and test by the fault's code."""

from __future__ import annotations

from typing import Final

_NAME = "real/test_name_faults.py::"
_ROUTE = "real/test_route_faults.py::"
_TLS = "real/test_tls_faults.py::"

PATH_PROVEN: Final[dict[str, str]] = {
    "name_malformed": _NAME + "test_host_that_is_no_name_is_told_as_malformed",
    "name_unknown": _NAME + "test_unknown_name",
    "name_without_address": _NAME + "test_name_without_an_address",
    "name_unanswered": _NAME + "test_silent_dns_server_is_left_in_time_and_named",
    "name_server_fails": _NAME + "test_dns_server_that_fails_is_named_with_its_answer",
    "no_name_server": _NAME + "test_no_dns_server_is_set",
    "no_route": _ROUTE + "test_no_route",
    "family_unreachable": _ROUTE + "test_name_with_addresses_of_an_unreachable_family_only",
    "router_no_route": _ROUTE + "test_router_without_a_route",
    "scope_missing": _ROUTE + "test_link_local_address_without_its_interface",
    "refused": _ROUTE + "test_refused_where_nothing_listens",
    "wrong_port": _ROUTE + "test_wrong_port_while_the_default_one_answers",
    "wildcard_address": _ROUTE + "test_wildcard_copied_from_the_server",
    "loopback_only": _ROUTE + "test_server_on_loopback_only_is_seen_on_its_own_host",
    "loopback_family": _ROUTE + "test_server_on_the_other_loopback_address",
    "unanswered": _ROUTE + "test_dropped",
    "rejected": _ROUTE + "test_rejected_with_icmp",
    "host_absent": _ROUTE + "test_host_absent",
    "no_socket": _ROUTE + "test_no_port_left",
    "tls_not_spoken": _TLS + "test_wss_to_a_plain_gateway",
    "tls_wanted": _TLS + "test_ws_to_a_tls_port",
    "certificate_expired": _TLS + "test_expired_certificate",
    "certificate_not_yet_valid": _TLS + "test_certificate_of_tomorrow",
    "clock_wrong": _TLS + "test_clock_of_1971",
    "certificate_self_signed": _TLS + "test_self_signed_certificate",
    "certificate_wrong_name": _TLS + "test_certificate_for_another_name",
    "intermediate_missing": _TLS + "test_intermediate_certificate_is_not_sent",
    "issuer_unknown": _TLS + "test_issuer_is_unknown",
    "certificate_refused": _TLS + "test_certificate_that_is_not_for_servers",
    "tls_too_old": _TLS + "test_server_with_old_tls_only",
    "tls_name_unknown": _TLS + "test_server_without_a_site_of_this_name",
    "tls_client_certificate": _TLS + "test_server_that_wants_a_certificate_of_the_device",
    "tls_unanswered": _TLS + "test_wss_to_a_silent_port",
    "tls_cut": _TLS + "test_handshake_is_cut",
    "tls_failed": _TLS + "test_no_cipher_in_common",
}
"""The faults of name, route, TCP and TLS; all of them."""
