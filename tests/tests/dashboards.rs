//! What dashboards and autoscaling are drawn from is really measured: a mesh that was used has it on its admin page.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use polyphony_tests::{Mesh, clients_python, repository};

/// Of each part of the mesh something, and what the chart scales by. Names that only a failure or a language model brings
/// are held against the sources (`tests/deploy/test_files.py`).
const SEEN: &[&str] = &[
    "grpc_server_handled_total",
    "grpc_server_handling_seconds_bucket",
    "grpc_server_in_flight",
    "polyphony_admission_in_flight",
    "polyphony_align_audio_milliseconds_total",
    "polyphony_align_words_total",
    "polyphony_analysis_work_milliseconds_total",
    "polyphony_build_info",
    "polyphony_connections_open",
    "polyphony_diar_audio_milliseconds_total",
    "polyphony_gateway_request_seconds_bucket",
    "polyphony_gateway_requests_in_flight",
    "polyphony_gateway_requests_total",
    "polyphony_gateway_upstream_connects_total",
    "polyphony_gateway_usable_endpoints",
    "polyphony_ocr_page_open_seconds_bucket",
    "polyphony_ocr_pages_total",
    "polyphony_rag_answers_total",
    "polyphony_rag_documents_done_total",
    "polyphony_rag_passages_indexed_total",
    "polyphony_rag_search_stage_seconds_bucket",
    "polyphony_rag_searches_total",
    "polyphony_streams_open",
    "polyphony_tts_audio_milliseconds_total",
    "polyphony_tts_first_audio_seconds_bucket",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
];

#[test]
fn a_mesh_that_was_used_shows_what_dashboards_and_scaling_ask_for() {
    // The ready line names the gateway's port alone, so that of its admin page is chosen here.
    let admin = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a free port");
    let mesh = Mesh::start_with(&[&format!("gateway.admin={admin}")]);
    let toured = clients_python()
        .arg(repository().join("tests/clients/python/tour.py"))
        .arg(mesh.address())
        .arg(repository().join("tests/fixtures/hello.png"))
        .output()
        .expect("Python starts");
    assert!(
        toured.status.success(),
        "{}",
        String::from_utf8_lossy(&toured.stderr)
    );

    let mut page = String::new();
    let mut connection = TcpStream::connect(admin).expect("the admin port listens");
    connection
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
        .expect("it reads");
    connection.read_to_string(&mut page).expect("it answers");
    let measured = |name: &str| {
        page.lines().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
    };
    let missing: Vec<_> = SEEN.iter().filter(|name| !measured(name)).collect();
    assert!(missing.is_empty(), "not measured: {missing:?}");
}
