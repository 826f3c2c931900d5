//! What other programs read, to the letter.

use super::*;

fn word(text: &str, start: u64, end: u64) -> Timed {
    Timed {
        text: text.to_owned(),
        time: Duration::from_millis(start)..Duration::from_millis(end),
        score: 0.5,
        ..Timed::default()
    }
}

#[test]
fn subtitles_end_with_sentences_pauses_and_speakers() {
    let mut words = vec![
        word("Go", 450, 600),
        word("forward", 600, 1_170),
        word("ten", 1_170, 1_500),
        word("meters, please.", 1_500, 2_120),
        word("Now.", 2_200, 2_500),
        word("Later", 3_661_000, 3_662_000),
    ];
    words[5].speaker = "A & B".to_owned();
    let expected = "1\n00:00:00,450 --> 00:00:02,120\nGo forward ten meters, please.\n\n\
                    2\n00:00:02,200 --> 00:00:02,500\nNow.\n\n\
                    3\n01:01:01,000 --> 01:01:02,000\nA & B: Later\n\n";
    assert_eq!(srt(&words), expected);
    let vtt = vtt(&words);
    assert!(
        vtt.starts_with("WEBVTT\n\n00:00:00.450 --> 00:00:02.120\nGo forward"),
        "{vtt}"
    );
    assert!(
        vtt.ends_with("01:01:01.000 --> 01:01:02.000\n<v A &amp; B>Later\n\n"),
        "{vtt}"
    );
}

#[test]
fn a_long_cue_has_two_lines_and_a_longer_one_is_two() {
    let words: Vec<Timed> = (0..30)
        .map(|at| word("letters", at * 200, at * 200 + 200))
        .collect();
    let srt = srt(&words);
    let lines: Vec<&str> = srt.lines().filter(|line| line.starts_with("letters")).collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 44), "{lines:?}");
    assert_eq!(
        lines.iter().map(|line| line.split(' ').count()).sum::<usize>(),
        30
    );
    assert_eq!(lines.len(), 6);
}

#[test]
fn signs_without_spaces_stay_so() {
    let words = [word("你", 0, 100), word("好。", 100, 200), word("ok", 200, 300)];
    assert!(srt(&words).contains("你好。 ok"));
}

#[test]
fn a_textgrid_has_no_holes() {
    let mut first = word("say \"a\"", 500, 1_000);
    first.phones = vec![word("s", 500, 700), word("eɪ", 700, 1_000)];
    let grid = textgrid(
        &[first, word("…", 1_000, 1_000), word("b", 1_000, 1_250)],
        Duration::from_secs(2),
    );
    let expected = "File type = \"ooTextFile\"
Object class = \"TextGrid\"

xmin = 0
xmax = 2
tiers? <exists>
size = 2
item []:
    item [1]:
        class = \"IntervalTier\"
        name = \"words\"
        xmin = 0
        xmax = 2
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = \"\"
        intervals [2]:
            xmin = 0.5
            xmax = 1
            text = \"say \"\"a\"\"\"
        intervals [3]:
            xmin = 1
            xmax = 1.25
            text = \"b\"
        intervals [4]:
            xmin = 1.25
            xmax = 2
            text = \"\"
    item [2]:
        class = \"IntervalTier\"
        name = \"phones\"
        xmin = 0
        xmax = 2
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = \"\"
        intervals [2]:
            xmin = 0.5
            xmax = 0.7
            text = \"s\"
        intervals [3]:
            xmin = 0.7
            xmax = 1
            text = \"eɪ\"
        intervals [4]:
            xmin = 1
            xmax = 2
            text = \"\"
";
    assert_eq!(grid, expected);
}

#[test]
fn ctm_has_six_fields() {
    let words = [word("New York", 500, 750), word("", 750, 750)];
    assert_eq!(
        ctm(&words, "a file"),
        "a_file 1 0.500 0.250 New_York 0.500\na_file 1 0.750 0.000 - 0.500\n"
    );
}
