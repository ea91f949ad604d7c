//! The dashboard for Grafana.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::path;

#[derive(Deserialize)]
struct Dashboard {
    uid: String,
    title: String,
    panels: Vec<Panel>,
}

#[derive(Deserialize)]
struct Panel {
    id: u32,
    title: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(rename = "gridPos")]
    place: Place,
}

#[derive(Deserialize)]
struct Target {
    expr: String,
}

#[derive(Deserialize)]
struct Place {
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

/// The queries of all panels, with what Grafana would put in place of its variables.
pub(crate) fn queries() -> Result<Vec<String>> {
    let targets = read()?.panels.into_iter().flat_map(|panel| panel.targets);
    let filled = |target: Target| {
        target
            .expr
            .replace("$namespace", ".*")
            .replace("$__rate_interval", "15s")
            .replace("$__range", "1m")
    };
    let queries: Vec<String> = targets.map(filled).collect();
    let left = queries.iter().find(|query| query.contains('$'));
    ensure!(left.is_none(), "a variable that nobody fills: {left:?}");
    Ok(queries)
}

pub(crate) fn is_whole() -> Result<()> {
    let dashboard = read()?;
    ensure!((dashboard.uid.as_str(), dashboard.title.as_str()) == ("vsecm-scout", "vsecm-scout"));
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for Panel { id, title, kind, description, targets, place } in &dashboard.panels {
        ensure!(ids.insert(id), "two panels have the id {id}");
        ensure!(kind == "row" || !(description.is_empty() || targets.is_empty()), "{title}");
        ensure!(place.x + place.w <= 24, "{title} is too wide");
        for x in place.x..place.x + place.w {
            for y in place.y..place.y + place.h {
                ensure!(taken.insert((x, y)), "{title} lies over another panel");
            }
        }
    }
    Ok(())
}

fn read() -> Result<Dashboard> {
    serde_json::from_str(&fs::read_to_string(path("dashboard.json"))?).context("dashboard.json")
}
