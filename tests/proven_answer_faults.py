"""Which test produces each fault of ANSWER_FAULTS for real: its file and the text that names it."""

from __future__ import annotations

STRANGERS = "test_strangers.py::test_stranger_is_named"
UPGRADES = "test_strangers.py::test_trouble_at_the_upgrade_is_named"
PROXIES = "real/test_proxy_faults.py::test_mistake_is_named"

PROVEN: dict[str, str] = {
    "other_service": "real/test_other_services.py::test_ssh_server",
    "mqtt_broker": "real/test_other_services.py::test_mqtt_broker",
    "service_silent": f"{STRANGERS}[silent]",
    "service_hangs_up": f"{STRANGERS}[hangs up]",
    "http_broken": f"{STRANGERS}[endless garbage]",
    "captive_portal": f"{STRANGERS}[portal page]",
    "web_server": "real/test_other_services.py::test_app_of_one_page_for_every_path",
    "path_missing": "real/test_other_services.py::test_site_of_files",
    "redirect_to_tls": f"{PROXIES}[nginx, redirect to https]",
    "redirected": f"{STRANGERS}[moved]",
    "proxy_upstream_down": f"{PROXIES}[nginx, gateway down]",
    "proxy_upstream_slow": f"{PROXIES}[nginx, gateway silent]",
    "proxy_unavailable": f"{PROXIES}[haproxy, gateway down]",
    "origin_unreachable": f"{STRANGERS}[CDN 521]",
    "server_error": f"{STRANGERS}[500]",
    "body_limit": f"{PROXIES}[haproxy, body limit]",
    "head_limit": f"{PROXIES}[nginx, small buffers for headers]",
    "proxy_login": f"{PROXIES}[nginx, basic auth]",
    "proxy_forbids": f"{PROXIES}[nginx, deny]",
    "proxy_rate_limit": f"{PROXIES}[nginx, limit_req with 429]",
    "upgrade_stripped": f"{PROXIES}[nginx, upgrade not passed]",
    "upgrade_http_1_0": f"{PROXIES}[nginx, as it comes]",
    "path_changed": f"{PROXIES}[nginx, path cut]",
    "upgrade_not_supported": f"{UPGRADES}[426]",
    "upgrade_broken": f"{UPGRADES}[101 without the right headers]",
    "upgrade_unanswered": f"{PROXIES}[haproxy, silent-drop]",
    "upgrade_cut": f"{PROXIES}[nginx, hangs up on the upgrade]",
    "token_stripped": f"{PROXIES}[nginx, token taken off]",
}

NOT_PROVEN: dict[str, str] = {}
"""Faults that no test produces, and why."""
