//! The plot: both sides beside each other, both axes logarithmic, so that what
//! grows in proportion is a straight line as steep as the grey one.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::AnyError;
use crate::growth::{Growth, Line};

const SIZE: (u32, u32) = (1160, 520);
const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(23, 190, 207),
];
const GREY: RGBColor = RGBColor(150, 150, 150);

/// Draws the times of all tables into one picture.
pub fn draw(path: &Path, tables: &[Growth]) -> Result<(), AnyError> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let panels = root.split_evenly((1, tables.len().max(1)));
    for (panel, table) in panels.iter().zip(tables) {
        draw_one(panel, table)?;
    }
    root.present().map_err(text)
}

fn draw_one(panel: &DrawingArea<SVGBackend, Shift>, table: &Growth) -> Result<(), AnyError> {
    let lines: Vec<&Line> = table
        .lines
        .iter()
        .filter(|line| line.unit == "ms")
        .collect();
    let values = || lines.iter().flat_map(|line| &line.values).copied();
    let sizes: Vec<f64> = table.sizes.iter().map(|size| *size as f64).collect();
    let (Some(first), Some(last)) = (sizes.first().copied(), sizes.last().copied()) else {
        return Ok(());
    };
    let lowest = values().fold(f64::INFINITY, f64::min) / 2.0;
    // Room for the legend above everything.
    let highest = values().fold(0.0, f64::max) * 60.0;
    let mut chart = ChartBuilder::on(panel)
        .caption(
            format!("{}: ms by findings held", table.title),
            ("sans-serif", 20),
        )
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (first / 1.3..last * 1.3).log_scale(),
            (lowest..highest).log_scale(),
        )
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc("findings")
        .y_desc("milliseconds")
        .x_label_formatter(&|value| plain(*value))
        .y_label_formatter(&|value| plain(*value))
        .label_style(("sans-serif", 14))
        .draw()
        .map_err(text)?;

    let anchor = lowest * 1.3;
    let proportion = [(first, anchor), (last, anchor * last / first)];
    chart
        .draw_series(LineSeries::new(proportion, GREY.stroke_width(1)))
        .map_err(text)?
        .label("in proportion")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], GREY.stroke_width(1)));
    for (line, colour) in lines.into_iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> = sizes
            .iter()
            .copied()
            .zip(line.values.iter().copied())
            .collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))
            .map_err(text)?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart
            .draw_series(points.iter().map(|at| Circle::new(*at, 4, colour.filled())))
            .map_err(text)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 14))
        .draw()
        .map_err(text)
}

/// A number without exponent and needless digits.
fn plain(value: f64) -> String {
    match value {
        1_000_000.0.. => format!("{}M", value / 1e6),
        1_000.0.. => format!("{}k", value / 1e3),
        _ => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// The library's errors hold the backend, which cannot leave.
fn text(error: impl std::error::Error) -> AnyError {
    error.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_line_and_a_name() {
        let line = |name, unit, values: [f64; 3]| Line {
            name,
            unit,
            values: values.to_vec(),
        };
        let table = |title, sizes: [usize; 3]| Growth {
            title,
            sizes: sizes.to_vec(),
            lines: vec![
                line("capture", "ms", [0.9, 0.95, 1.1]),
                line("cold open", "ms", [4.0, 7.0, 31.0]),
                line("disk", "MiB", [1.0, 4.0, 31.0]),
            ],
        };
        let tables = [
            table("on the server", [1_000, 10_000, 100_000]),
            table("on the phone", [100, 1_000, 10_000]),
        ];
        let path = std::env::temp_dir().join(format!("growth-{}.svg", std::process::id()));
        draw(&path, &tables).expect("draws");
        let picture = std::fs::read_to_string(&path).expect("reads");
        std::fs::remove_file(&path).expect("removes");
        for title in ["on the server", "on the phone"] {
            assert!(picture.contains(title), "{title}");
        }
        for (name, times) in [("capture", 2), ("cold open", 2), ("disk", 0)] {
            let found = picture.lines().filter(|line| line.trim() == name).count();
            assert_eq!(found, times, "{name}");
        }
        // A mark at each of three sizes, for two times of two tables.
        assert_eq!(picture.matches("<circle").count(), 12);
    }
}
