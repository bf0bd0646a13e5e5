//! A face comparison service under `/face`. The image's text decides, so that a test reads like what it means:
//! `selfie:0.97` scores 0.97, `selfie:grey` falls into the grey zone, `selfie:other` is somebody else.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::Answer,
    state::{Shared, parse},
};

/// The routes, without the `/face` prefix.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/health", get(async || Answer::ok(&json!({"status": "up"})))).route("/compare", post(compare))
}

#[derive(Deserialize)]
struct Compare {
    id: String,
    image: String,
}

async fn compare(body: Bytes) -> Answer {
    let compare: Compare = match parse(&body) {
        Ok(compare) => compare,
        Err(answer) => return answer,
    };
    if compare.id.is_empty() {
        return Answer::invalid("id_missing");
    }
    Answer::ok(&verdict(&compare.image))
}

/// What the service says of an image.
fn verdict(image: &str) -> Value {
    const MODEL: &str = "face-3";
    let text = image.strip_prefix("selfie:").unwrap_or(image);
    match text {
        "grey" => json!({"score": 0.80, "model": MODEL}),
        "other" => json!({"score": 0.31, "model": MODEL}),
        // Broken answers, which must never pass.
        "nan" => json!({"score": "NaN", "model": MODEL}),
        "noface" => json!({"model": MODEL}),
        "null" => json!({"score": null, "model": MODEL}),
        _ => match text.parse::<f64>() {
            Ok(score) if score.is_finite() => json!({"score": score, "model": MODEL}),
            // Any other picture is taken for a good one of the right person.
            _ => json!({"score": 0.95, "model": MODEL}),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_decides() {
        for (image, expected) in [
            ("selfie:0.97", json!(0.97)),
            ("selfie:grey", json!(0.8)),
            ("selfie:other", json!(0.31)),
            ("selfie:nan", json!("NaN")),
            ("selfie:null", Value::Null),
            ("https://pictures.example/7.jpg", json!(0.95)),
        ] {
            assert_eq!(verdict(image)["score"], expected, "{image}");
        }
        assert_eq!(verdict("selfie:noface").get("score"), None);
    }
}
