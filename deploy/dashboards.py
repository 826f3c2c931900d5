#!/usr/bin/env python3
"""Writes the Grafana dashboards of charts/polyphony/dashboards: what is measured, and how it is shown. Run it after a change;
a test says when that was forgotten, and when a name is of no metric."""

import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "charts/polyphony/dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}
RATE = "[$__rate_interval]"


def rate(metric, by, where=""):
    return f"sum by ({by}) (rate({metric}{{{where}}}{RATE}))"


def quantile(q, metric, by):
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{RATE})))"


def panel(title, unit, *series):
    """A graph; each of its series is an expression and a legend."""
    targets = [{"datasource": SOURCE, "expr": expr, "legendFormat": legend, "refId": chr(65 + at)} for at, (expr, legend) in enumerate(series)]
    return {"type": "timeseries", "title": title, "datasource": SOURCE, "targets": targets,
            "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []}}


def dashboard(uid, title, *panels):
    for at, one in enumerate(panels):
        one["id"] = at + 1
        one["gridPos"] = {"x": at % 3 * 8, "y": at // 3 * 8, "w": 8, "h": 8}
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {"uid": f"polyphony-{uid}", "title": f"Polyphony: {title}", "tags": ["polyphony"], "schemaVersion": 41, "editable": True,
            "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "templating": {"list": [source]}, "panels": list(panels)}


def speed(service):
    """Seconds of work for each second of audio: above 1 and a stream falls behind."""
    work, audio = (f"polyphony_{service}_{what}_milliseconds_total" for what in ("work", "audio"))
    return f"{rate(work, 'engine, mode')} / {rate(audio, 'engine, mode')}"


DASHBOARDS = {
    "mesh": dashboard(
        "mesh", "mesh",
        panel("Calls", "reqps", (rate("grpc_server_handled_total", "grpc_service"), "{{grpc_service}}")),
        panel("Calls that failed", "reqps", (rate("grpc_server_handled_total", "grpc_service, grpc_code", 'grpc_code!="OK"'), "{{grpc_service}} {{grpc_code}}")),
        panel("Time of a call, 95th percentile", "s", (quantile(0.95, "grpc_server_handling_seconds", "grpc_service, grpc_method"), "{{grpc_service}}/{{grpc_method}}")),
        panel("Calls in flight", "short", ("sum by (job, instance) (polyphony_admission_in_flight)", "{{job}} {{instance}}")),
        panel("Calls and streams refused, for there was no place", "reqps", (rate("polyphony_admission_refused_total", "job"), "calls {{job}}"), (rate("polyphony_streams_refused_total", "service"), "streams {{service}}")),
        panel("Streams open", "short", ("sum by (service) (polyphony_streams_open)", "{{service}}")),
        panel("Processor", "cores", ("sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{job}}")),
        panel("Resident memory", "bytes", ("sum by (job, instance) (process_resident_memory_bytes)", "{{job}} {{instance}}")),
        panel("Connections open", "short", ("sum by (job) (polyphony_connections_open)", "{{job}}")),
        panel("Connections closed", "cps", (rate("polyphony_connections_closed_total", "reason"), "{{reason}}")),
        panel("Panics", "cps", (rate("polyphony_panics_total", "grpc_service, grpc_method"), "{{grpc_service}}/{{grpc_method}}")),
        panel("What runs", "short", ("count by (service, version) (polyphony_build_info)", "{{service}} {{version}}")),
    ),
    "gateway": dashboard(
        "gateway", "gateway",
        panel("Calls", "reqps", (rate("polyphony_gateway_requests_total", "cluster"), "{{cluster}}")),
        panel("Calls by status", "reqps", (rate("polyphony_gateway_requests_total", "cluster, grpc_code", 'grpc_code!="0"'), "{{cluster}} {{grpc_code}}")),
        panel("Time of a call, median and 99th percentile", "s", (quantile(0.5, "polyphony_gateway_request_seconds", "cluster"), "{{cluster}} median"), (quantile(0.99, "polyphony_gateway_request_seconds", "cluster"), "{{cluster}} 99th")),
        panel("Calls in flight", "short", ("sum by (cluster) (polyphony_gateway_requests_in_flight)", "{{cluster}}")),
        panel("Endpoints that get calls", "short", ("min by (cluster) (polyphony_gateway_usable_endpoints)", "{{cluster}}")),
        panel("Endpoints left out, for they failed", "cps", (rate("polyphony_gateway_ejections_total", "cluster"), "{{cluster}}")),
        panel("Second attempts", "cps", (rate("polyphony_gateway_retries_total", "cluster"), "{{cluster}}")),
        panel("Connections to endpoints", "cps", (rate("polyphony_gateway_upstream_connects_total", "endpoint"), "{{endpoint}}"), (rate("polyphony_gateway_upstream_connect_failures_total", "endpoint"), "{{endpoint}} failed")),
        panel("Calls without a route", "reqps", ("sum(rate(polyphony_gateway_unrouted_total[$__rate_interval]))", "unrouted")),
    ),
    "media": dashboard(
        "media", "speech and pages",
        *(panel(f"{name}: audio in a second", "s", (f"{rate(f'polyphony_{service}_audio_milliseconds_total', 'engine, mode')} / 1000", "{{engine}} {{mode}}"))
          for service, name in [("asr", "Recognition"), ("align", "Alignment"), ("diar", "Diarization"), ("tts", "Synthesis"), ("analysis", "Analysis")]),
        *(panel(f"{name}: work for a second of audio", "s", (speed(service), "{{engine}} {{mode}}"))
          for service, name in [("asr", "Recognition"), ("align", "Alignment"), ("diar", "Diarization"), ("tts", "Synthesis"), ("analysis", "Analysis")]),
        panel("Recognition: audio to final result, 95th percentile", "s", (quantile(0.95, "polyphony_asr_final_lag_seconds", "engine"), "{{engine}}")),
        panel("Synthesis: clause to first audio, 95th percentile", "s", (quantile(0.95, "polyphony_tts_first_audio_seconds", "engine"), "{{engine}}")),
        panel("Words aligned, characters spoken", "cps", (rate("polyphony_align_words_total", "engine"), "words {{engine}}"), (rate("polyphony_tts_characters_total", "engine"), "characters {{engine}}")),
        panel("Pages read", "cps", (rate("polyphony_ocr_pages_total", "engine, source"), "{{engine}} {{source}}"), (rate("polyphony_ocr_pages_failed_total", "reason"), "failed {{reason}}")),
        panel("Work for a page", "s", (f"{rate('polyphony_ocr_work_milliseconds_total', 'engine, source')} / {rate('polyphony_ocr_pages_total', 'engine, source')} / 1000", "{{engine}} {{source}}")),
        panel("Opening a page, 95th percentile", "s", ("histogram_quantile(0.95, sum by (le) (rate(polyphony_ocr_page_open_seconds_bucket[$__rate_interval])))", "open")),
    ),
    "video": dashboard(
        "video", "video",
        panel("Videos in an hour", "short", ("sum by (model, state) (increase(polyphony_video_gen_videos_total[1h]))", "{{model}} {{state}}")),
        panel("Videos that wait", "short", ("sum(polyphony_video_gen_waiting_videos)", "waiting")),
        panel("Prompt to file, median and 95th percentile", "s", (quantile(0.5, "polyphony_video_gen_inference_seconds", "model"), "{{model}} median"), (quantile(0.95, "polyphony_video_gen_inference_seconds", "model"), "{{model}} 95th")),
        panel("A denoising step, median", "s", (quantile(0.5, "polyphony_video_gen_step_seconds", "model"), "{{model}}")),
        panel("Memory of the device", "bytes", ("max by (instance) (polyphony_video_gen_device_memory_bytes)", "{{instance}}")),
        panel("Workers that died", "cps", ("sum(rate(polyphony_video_gen_worker_deaths_total[$__rate_interval]))", "deaths")),
    ),
    "knowledge": dashboard(
        "knowledge", "language models and retrieval",
        panel("Whole answer, 95th percentile", "s", (quantile(0.95, "gen_ai_server_request_duration_seconds", "gen_ai_request_model, upstream"), "{{gen_ai_request_model}} {{upstream}}")),
        panel("First token, 95th percentile", "s", (quantile(0.95, "gen_ai_server_time_to_first_token_seconds", "gen_ai_request_model, upstream"), "{{gen_ai_request_model}} {{upstream}}")),
        panel("Each further token, median", "s", (quantile(0.5, "gen_ai_server_time_per_output_token_seconds", "gen_ai_request_model, upstream"), "{{gen_ai_request_model}} {{upstream}}")),
        panel("Tokens", "cps", (rate("gen_ai_client_token_usage_total", "gen_ai_request_model, gen_ai_token_type"), "{{gen_ai_request_model}} {{gen_ai_token_type}}")),
        panel("Requests at upstreams", "short", ("sum by (upstream) (polyphony_llm_in_flight)", "{{upstream}}"), ("sum by (upstream) (polyphony_llm_queued)", "{{upstream}} waiting")),
        panel("Waiting for a place, 95th percentile", "s", (quantile(0.95, "polyphony_llm_queue_seconds", "upstream"), "{{upstream}}")),
        panel("Upstreams that answer", "short", ("min by (upstream) (polyphony_llm_upstream_up)", "{{upstream}}"), ("max by (upstream) (polyphony_llm_circuit_open)", "{{upstream}} rests")),
        panel("Failures, retries, full queues", "cps", (rate("polyphony_llm_upstream_failures_total", "upstream, reason"), "{{upstream}} {{reason}}"), (rate("polyphony_llm_retries_total", "reason"), "again {{reason}}"), (rate("polyphony_llm_queue_full_total", "upstream"), "{{upstream}} full")),
        panel("OpenAI's API, by status", "reqps", (rate("polyphony_llm_http_replies_total", "status"), "{{status}}")),
        panel("Answers found in caches", "reqps", (rate("polyphony_llm_cache_lookups_total", "found"), "llm {{found}}"), (rate("polyphony_rag_answer_cache_total", "found"), "rag {{found}}")),
        panel("Documents", "cps", (rate("polyphony_rag_documents_submitted_total", "admission"), "{{admission}}"), (rate("polyphony_rag_documents_done_total", "outcome"), "{{outcome}}")),
        panel("Passages indexed", "cps", ("sum(rate(polyphony_rag_passages_indexed_total[$__rate_interval]))", "passages")),
        panel("Searches", "reqps", (rate("polyphony_rag_searches_total", "fusion, found"), "{{fusion}} {{found}}")),
        panel("Stages of a search, 95th percentile", "s", (quantile(0.95, "polyphony_rag_search_stage_seconds", "stage"), "{{stage}}")),
        panel("Stages of an answer, 95th percentile", "s", (quantile(0.95, "polyphony_rag_answer_stage_seconds", "stage"), "{{stage}}")),
        panel("Answers", "reqps", (rate("polyphony_rag_answers_total", "mode, outcome"), "{{mode}} {{outcome}}")),
    ),
}


def text(one):
    return json.dumps(one, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, one in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(text(one))
