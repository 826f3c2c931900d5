//! What is deployed: the chart, the images, compose and what watches them. The Python tests of `tests/chart` and
//! `tests/deploy` say what has to hold; here they get the binaries of this build.

use std::path::PathBuf;
use std::process::Command;

use polyphony_tests::{binary, deploy_python, home, repository};

#[test]
fn every_set_of_values_renders_what_kubernetes_and_the_programs_take() {
    unittest("chart", "test_render");
}

#[test]
fn every_rendered_pod_keeps_the_policies_and_each_policy_can_fail() {
    unittest("chart", "test_policy");
}

#[test]
fn bad_values_are_refused_with_one_line_that_names_the_key() {
    unittest("chart", "test_refusals");
}

#[test]
fn values_do_what_they_say_in_every_mode_of_a_gpu() {
    unittest("chart", "test_modes");
}

#[test]
fn the_readme_of_the_chart_is_made_of_its_values() {
    unittest("chart", "test_readme");
}

#[test]
fn files_for_images_compose_and_prometheus_are_taken_by_their_tools() {
    unittest("deploy", "test_files");
}

#[test]
fn each_program_runs_from_the_files_of_its_image_alone() {
    let images = repository().join("tests/deploy/images.py");
    run(deploy_python().arg("-B").arg(images).arg(built()));
}

/// Runs one file of Python tests.
fn unittest(folder: &str, module: &str) {
    let folder = repository().join("tests").join(folder);
    run(deploy_python()
        .args(["-B", "-m", "unittest", "--quiet", module])
        .current_dir(folder));
}

fn run(command: &mut Command) {
    let output = command
        .env("POLYPHONY_HOME", home())
        .env("POLYPHONY_BUILT", built())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The folder of the binaries of this build.
fn built() -> PathBuf {
    let gateway = binary("polyphony-gateway");
    gateway.parent().expect("a folder").to_owned()
}
