"""The faults on the way to the gateway: name, route, TCP, TLS."""

from __future__ import annotations

from typing import Final

from wsdev.diagnosis.faults import Fault, keyed
from wsdev.errors import ExitCode
from wsdev.layers import Layer
from wsdev.protocol import DEFAULT_PORT


def _name(code: str, what: str, why: str, fix: str) -> Fault:
    return Fault(code, Layer.NAME, ExitCode.NAME, what, why, fix)


def _route(code: str, what: str, why: str, fix: str) -> Fault:
    return Fault(code, Layer.ROUTE, ExitCode.NO_ANSWER, what, why, fix)


def _refused(code: str, what: str, why: str, fix: str) -> Fault:
    return Fault(code, Layer.TCP, ExitCode.REFUSED, what, why, fix)


def _unanswered(code: str, what: str, why: str, fix: str) -> Fault:
    return Fault(code, Layer.TCP, ExitCode.NO_ANSWER, what, why, fix)


def _tls(code: str, what: str, why: str, fix: str) -> Fault:
    return Fault(code, Layer.TLS, ExitCode.TLS, what, why, fix)


PATH_FAULTS: Final = keyed([
    _name(
        "name_malformed",
        "the host is not a name that can be looked up",
        "a typing error: an empty part, a part over 63 characters, or a number over 255 in an"
        " address",
        "write the host's name or IP address, as in ws://192.0.2.2:3000",
    ),
    _name(
        "name_unknown",
        "the name has no address",
        "a typing error, another DNS server than at home, or a .local name without mDNS",
        "check the spelling; use the host's IP address (wsdev serve prints it at its start)",
    ),
    _name(
        "name_without_address",
        "the name is known, but has no address",
        "it has other records only, for mail or text, or is the domain without the host's part",
        "check the spelling; give it an address record (A for IPv4), or use the host's IP address",
    ),
    _name(
        "name_unanswered",
        "no DNS server answers",
        "no network, a wrong DNS server in the settings, or a firewall that drops DNS",
        "check the network and its DNS settings, or use the host's IP address",
    ),
    _name(
        "name_server_fails",
        "the DNS server answers, but does not look the name up",
        "it reaches no other server itself, does not serve this network, or DNSSEC fails",
        "use another DNS server, or the host's IP address; look at the router that runs it",
    ),
    _name(
        "no_name_server",
        "this host has no DNS server to ask",
        "the network is not up, or DHCP gave no DNS server: /etc/resolv.conf names none",
        "join the network; set a DNS server; or use the host's IP address",
    ),
    _route(
        "no_route",
        "there is no route to the address",
        "the network is down, the Wi-Fi is not joined, or no default gateway is set",
        "look at the network: ip route; join the Wi-Fi; use an address of this network",
    ),
    _route(
        "family_unreachable",
        "the name gives only addresses of a family that cannot be reached from here",
        "the name has only an IPv6 address and this network has no IPv6, or the other way round",
        "use an address of the other family, or give the name one (A record for IPv4)",
    ),
    _route(
        "router_no_route",
        "a router on the way says that it has no route to the address",
        "the router is offline itself, or the address is on a network that it does not know",
        "look at the router's own connection; check the address",
    ),
    _route(
        "scope_missing",
        "a link-local address (fe80::) means nothing without the interface it is on",
        "each interface has its own fe80:: network, so the system cannot know which is meant",
        "add the interface to the address: ws://[fe80::1%wlan0]:3000",
    ),
    _refused(
        "refused",
        "the host refuses the connection: nothing listens on that address and port",
        "wsdev serve is not running, listens on another port, or on 127.0.0.1 only; or a firewall"
        " rejects the port",
        "on the host run: wsdev doctor; start wsdev serve without --host 127.0.0.1",
    ),
    _refused(
        "wrong_port",
        f"nothing listens on that port, but something does on {DEFAULT_PORT}",
        "the port was left out or mistyped; ws:// without a port means 80, wss:// means 443",
        f"add :{DEFAULT_PORT} to the address",
    ),
    _refused(
        "wildcard_address",
        "0.0.0.0 and [::] are where a server listens, not an address to connect to",
        "it was copied from the server's settings; here it means this very device",
        "use the host's own address (wsdev serve prints it at its start)",
    ),
    _refused(
        "loopback_only",
        "the server listens on loopback only, so no other host reaches it",
        "it was started with --host 127.0.0.1, or with WSDEV_HOST set so",
        "start wsdev serve without --host; it then listens on all addresses",
    ),
    _refused(
        "loopback_family",
        "the server listens on another loopback address only",
        "localhost can mean ::1 or 127.0.0.1, and the host's own name 127.0.1.1 (Debian)",
        "use the address shown, or let the server listen on all",
    ),
    _unanswered(
        "unanswered",
        "no answer to the connection request: it was dropped",
        "a firewall drops the port, a router does not forward it, the host is off, or the address"
        " is another's",
        "on the host run: wsdev doctor; open the port in its firewall; check the address",
    ),
    _unanswered(
        "rejected",
        "a firewall or router on the way says that this connection is not allowed",
        "a rule rejects the port, or the network keeps its members apart (guest Wi-Fi)",
        "on the host run: wsdev doctor; let the rule accept the port; use another network",
    ),
    _unanswered(
        "host_absent",
        "no host with that address answers on this network",
        "the host is off, has another address now (DHCP), or is on another network",
        "check that it is up and its address: ip address; ping it",
    ),
    _unanswered(
        "no_socket",
        "this host cannot open the connection",
        "no file descriptors or ports are left, or a local rule forbids it",
        "look at the system's words; close other programs; raise the limit: ulimit -n",
    ),
    _tls(
        "tls_not_spoken",
        "wss:// was asked for, but the port does not speak TLS",
        "the gateway runs without a certificate, or the TLS proxy is on another port",
        "use ws:// there, or start wsdev serve with --tls-cert and --tls-key",
    ),
    _tls(
        "tls_wanted",
        "ws:// was asked for, but the port speaks TLS",
        "the gateway or the proxy in front of it has a certificate",
        "use wss:// instead of ws://",
    ),
    _tls(
        "certificate_expired",
        "the server's certificate has expired",
        "nobody renewed it, or the server was not restarted after the renewal",
        "renew the certificate, and restart the server so that it loads the new one",
    ),
    _tls(
        "certificate_not_yet_valid",
        "the server's certificate is not valid yet",
        "it was made on a host whose clock is ahead, or is meant for later",
        "make the certificate again; check the clock of the host that made it",
    ),
    _tls(
        "clock_wrong",
        "the clock of this device is wrong, so good certificates look expired or not yet valid",
        "no battery behind the clock and no NTP yet: after power-on it starts in 1970 or so",
        "set the clock first: timedatectl set-ntp true; on a microcontroller: ntptime.settime()",
    ),
    _tls(
        "certificate_self_signed",
        "the server's certificate is signed by itself, and nobody here trusts it",
        "it was made with openssl or by the server itself",
        "trust it with --cacert FILE, or use a certificate of a public issuer",
    ),
    _tls(
        "certificate_wrong_name",
        "the server's certificate is for another name",
        "the address was given instead of the name, or another site answers there",
        "use one of the names in the certificate, or add this one to it",
    ),
    _tls(
        "intermediate_missing",
        "the server does not send the intermediate certificate",
        "the server was given the certificate alone instead of the chain; browsers hide it",
        "give the server the full chain: --tls-cert fullchain.pem",
    ),
    _tls(
        "issuer_unknown",
        "the certificate's issuer is not trusted here",
        "a private issuer, a proxy that opens TLS, or a device with an old list of issuers",
        "trust the issuer with --cacert FILE, or update this host's list (ca-certificates)",
    ),
    _tls(
        "certificate_refused",
        "the server's certificate is not accepted",
        "it breaks a rule: a weak key, a wrong purpose, or an issuer that may not issue",
        "make a new certificate; look at the reason given",
    ),
    _tls(
        "tls_too_old",
        "the server speaks only TLS versions that are no longer safe",
        "an old server or proxy with TLS 1.0 or 1.1 (RFC 8996 retired both)",
        "update it, or turn on TLS 1.2 and 1.3 there",
    ),
    _tls(
        "tls_name_unknown",
        "the TLS server has no site of this name",
        "the IP address was given instead of the name, or the proxy lacks the site",
        "use the name that the proxy knows; add this one to the proxy's sites",
    ),
    _tls(
        "tls_client_certificate",
        "the server wants a certificate from the device",
        "a proxy in front asks for client certificates (mutual TLS), which wsdev does not use",
        "turn that off for this site: ssl_verify_client off; in nginx",
    ),
    _tls(
        "tls_unanswered",
        "the port takes connections, but does not answer the TLS handshake",
        "a service without TLS that waits, a path that drops large packets (VPN, DSL), or an"
        " overloaded server",
        "check the port; try ws:// there; try a smaller MTU here (ip link set … mtu 1280)",
    ),
    _tls(
        "tls_cut",
        "the connection was cut during the TLS handshake",
        "a middlebox that filters by name, a service that is not TLS, or a server without a"
        " certificate for this name",
        "check port and name; try another network to tell a filter on the way",
    ),
    _tls(
        "tls_failed",
        "the TLS handshake failed",
        "no version or cipher in common, or a server without a certificate for this name",
        "look at the reason given and at the server's TLS settings",
    ),
])  # fmt: skip
