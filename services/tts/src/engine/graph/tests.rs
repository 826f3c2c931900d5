//! Graphs that are made by hand, cut and put together again.

use super::split::Part;
use super::wire::{put_bytes, put_integer};
use super::*;

/// A node: kind, inputs, output.
fn node(kind: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs {
        put_bytes(&mut node, NODE_INPUT, input.as_bytes());
    }
    put_bytes(&mut node, NODE_OUTPUT, output.as_bytes());
    put_bytes(&mut node, NODE_KIND, kind.as_bytes());
    node
}

fn named(number: u32, name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(&mut message, number, name.as_bytes());
    message
}

/// x and a weight make "lengths" and, with noise, "latent", which makes "audio"; a constant goes to both ends.
fn model() -> Vec<u8> {
    let mut graph = Vec::new();
    for node in [
        node("Constant", &[], "one"),
        node("Add", &["x", "one"], "text"),
        node("Ceil", &["text"], "lengths"),
        node("RandomNormalLike", &["text"], "noise"),
        node("Mul", &["text", "noise"], "latent"),
        node("Conv", &["latent", "w"], "wave"),
        node("Add", &["wave", "one"], "louder"),
        node("Mul", &["louder", "speaker"], "audio"),
    ] {
        put_bytes(&mut graph, GRAPH_NODE, &node);
    }
    let mut weight = named(TENSOR_NAME, "w");
    put_integer(&mut weight, TENSOR_DIMS, 4);
    put_integer(&mut weight, TENSOR_DIMS, 2);
    put_bytes(&mut graph, GRAPH_WEIGHT, &weight);
    put_bytes(&mut graph, GRAPH_INPUT, &named(VALUE_NAME, "x"));
    put_bytes(&mut graph, GRAPH_INPUT, &named(VALUE_NAME, "speaker"));
    put_bytes(&mut graph, GRAPH_OUTPUT, &named(VALUE_NAME, "audio"));
    let mut model = Vec::new();
    put_integer(&mut model, 1, 8);
    put_bytes(&mut model, MODEL_GRAPH, &graph);
    model
}

fn ports(part: &Part) -> (Vec<&str>, Vec<&str>) {
    let inputs = part.inputs.iter().map(String::as_str);
    let outputs = part.outputs.iter().map(String::as_str);
    (inputs.collect(), outputs.collect())
}

#[test]
fn a_graph_is_read_as_far_as_needed() {
    let bytes = model();
    let graph = Graph::read(&bytes).expect("a graph");
    assert_eq!(graph.nodes().len(), 8);
    assert_eq!(graph.outputs(), ["audio"]);
    assert_eq!(graph.weight_shape("w"), Some(vec![4, 2]));
    assert_eq!(graph.maker("latent").map(|node| node.kind), Some("Mul"));
    assert!(graph.leads_to("noise", "audio") && !graph.leads_to("noise", "lengths"));
    assert!(Graph::read(&bytes[..bytes.len() - 3]).is_none());
    assert!(Graph::read(&[]).is_none());
}

#[test]
fn parts_hand_on_what_later_ones_need() {
    let bytes = model();
    let graph = Graph::read(&bytes).expect("a graph");
    let parts = graph
        .split(&[&["lengths"], &["latent"], &["audio"]], &["noise"])
        .expect("parts");
    assert_eq!(ports(&parts[0]), (vec!["x"], vec!["lengths", "text"]));
    assert_eq!(ports(&parts[1]), (vec!["text", "noise"], vec!["latent"]));
    assert_eq!(ports(&parts[2]), (vec!["latent", "speaker"], vec!["audio"]));
    assert!(graph.split(&[&["nothing"]], &[]).is_none());
}

#[test]
fn a_part_is_a_model_of_its_own() {
    let bytes = model();
    let graph = Graph::read(&bytes).expect("a graph");
    let parts = graph.split(&[&["latent"], &["audio"]], &[]).expect("parts");
    let bytes = graph
        .model(&parts[1], |name| (name == "latent").then_some(1))
        .expect("a model");
    let part = Graph::read(&bytes).expect("a graph");
    let kinds: Vec<_> = part.nodes().iter().map(|node| node.kind).collect();
    // The constant is in both parts.
    assert_eq!(kinds, ["Constant", "Conv", "Add", "Mul"]);
    assert_eq!(part.weight_shape("w"), Some(vec![4, 2]));
    assert_eq!(part.outputs(), ["audio"]);
    assert_eq!(
        part.inputs.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["latent", "speaker"]
    );
    assert!(graph.model(&parts[1], |_| None).is_none());
}

#[test]
fn graphs_within_nodes_and_weights_elsewhere_are_left_alone() {
    let mut nested = node("If", &["x"], "y");
    put_bytes(&mut nested, NODE_ATTRIBUTE, &named(ATTRIBUTE_GRAPH, ""));
    let mut elsewhere = named(TENSOR_NAME, "w");
    put_bytes(&mut elsewhere, TENSOR_EXTERNAL, b"");
    for (number, message) in [(GRAPH_NODE, nested), (GRAPH_WEIGHT, elsewhere)] {
        let (mut graph, mut model) = (Vec::new(), Vec::new());
        put_bytes(&mut graph, number, &message);
        put_bytes(&mut model, MODEL_GRAPH, &graph);
        assert!(Graph::read(&model).is_none());
        // What is nested can be looked at.
        let outline = Graph::outline(&model);
        assert_eq!(
            outline.is_some_and(|graph| graph.is_nested()),
            number == GRAPH_NODE
        );
    }
}

#[test]
fn a_graph_can_be_made_to_tell_more() {
    let told = Graph::telling(model(), "latent");
    let mut graphs = wire::Fields::of(&told)
        .flatten()
        .filter(|field| field.number == MODEL_GRAPH);
    let outputs = |field: wire::Field<'_>| {
        let fields = wire::Fields::of(field.bytes().expect("a graph")).flatten();
        fields
            .filter(|field| field.number == GRAPH_OUTPUT)
            .map(|field| {
                text(field.bytes().expect("a value"), VALUE_NAME)
                    .expect("a name")
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(graphs.next().map(outputs), Some(vec!["audio".to_owned()]));
    assert_eq!(graphs.next().map(outputs), Some(vec!["latent".to_owned()]));
}

#[test]
fn a_convolution_along_a_line_becomes_one_of_a_plane() {
    let mut conv = node("Conv", &["x", "w", "b"], "y");
    for (name, values) in [("kernel_shape", &[3][..]), ("dilations", &[2]), ("pads", &[1, 4])] {
        let mut attribute = named(ATTRIBUTE_NAME, name);
        for &value in values {
            put_integer(&mut attribute, ATTRIBUTE_INTS, value);
        }
        put_bytes(&mut conv, NODE_ATTRIBUTE, &attribute);
    }
    let mut graph = Vec::new();
    put_bytes(&mut graph, GRAPH_NODE, &conv);
    // A plane already, and one whose weight is made on the way.
    put_bytes(&mut graph, GRAPH_NODE, &node("Conv", &["y", "image"], "z"));
    put_bytes(&mut graph, GRAPH_NODE, &node("Conv", &["z", "x"], "audio"));
    for (name, shape) in [("w", &[8, 4, 3][..]), ("b", &[8]), ("image", &[8, 4, 3, 3])] {
        let mut weight = named(TENSOR_NAME, name);
        for &dimension in shape {
            put_integer(&mut weight, TENSOR_DIMS, dimension);
        }
        put_bytes(&mut graph, GRAPH_WEIGHT, &weight);
    }
    put_bytes(&mut graph, GRAPH_INPUT, &named(VALUE_NAME, "x"));
    put_bytes(&mut graph, GRAPH_OUTPUT, &named(VALUE_NAME, "audio"));
    let mut model = Vec::new();
    put_bytes(&mut model, MODEL_GRAPH, &graph);

    let graph = Graph::read(&model).expect("a graph");
    let parts = graph.split(&[&["audio"]], &[]).expect("parts");
    let bytes = graph.model(&parts[0], |_| Some(1)).expect("a model");
    let planar = Graph::read(&bytes).expect("a graph");
    let kinds: Vec<_> = planar.nodes().iter().map(|node| node.kind).collect();
    assert_eq!(kinds, ["Reshape", "Conv", "Reshape", "Conv", "Conv"]);
    let conv = &planar.nodes()[1];
    assert_eq!(conv.integers("kernel_shape"), Some(vec![1, 3]));
    assert_eq!(conv.integers("dilations"), Some(vec![1, 2]));
    assert_eq!(conv.integers("pads"), Some(vec![0, 1, 0, 4]));
    assert_eq!(planar.weight_shape(conv.inputs[1]), Some(vec![8, 4, 1, 3]));
    assert_eq!((conv.inputs[2], planar.nodes()[2].outputs[0]), ("b", "y"));
    assert_eq!(planar.weight_shape("w"), None);
    assert_eq!(planar.weight_shape("image"), Some(vec![8, 4, 3, 3]));
}
