//! Line charts as SVG, with no script and nothing from elsewhere.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 44.0;

/// Told apart also by who cannot tell red from green.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By their logarithm.
    Log,
    /// Quantiles, by how much is left above: 0.9, 0.99 and 0.999 are evenly spaced.
    Quantile,
}

/// An axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis<'a> {
    /// What is along it, with its unit.
    pub(crate) label: &'a str,
    pub(crate) scale: Scale,
}

/// A line.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of some lines.
pub(crate) fn chart(title: &str, x: Axis, y: Axis, series: &[Series]) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut svg, title, x, y, series);
    svg
}

fn write(out: &mut String, title: &str, x: Axis, y: Axis, series: &[Series]) -> std::fmt::Result {
    let across = Range::of(x.scale, series.iter().flat_map(|line| &line.points).map(|p| p.0));
    let up = Range::of(y.scale, series.iter().flat_map(|line| &line.points).map(|p| p.1));
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let at_x = |value| LEFT + across.share(value) * (right - LEFT);
    let at_y = |value| bottom - up.share(value) * (bottom - TOP);

    write!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}" font-family="sans-serif" font-size="12" fill="currentColor">"#
    )?;
    write!(out, r#"<text x="{LEFT}" y="16" font-weight="bold">{title}</text>"#)?;
    for tick in across.ticks() {
        let (x, label) = (at_x(tick), label(across.scale, tick));
        write!(
            out,
            r#"<path d="M{x:.1} {TOP}V{bottom}" stroke="currentColor" opacity="0.15"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
            bottom + 16.0
        )?;
    }
    for tick in up.ticks() {
        let (y, label) = (at_y(tick), label(up.scale, tick));
        write!(
            out,
            r#"<path d="M{LEFT} {y:.1}H{right}" stroke="currentColor" opacity="0.15"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
            LEFT - 6.0,
            y + 4.0
        )?;
    }
    write!(
        out,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text><text transform="translate(14 {:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
        f64::midpoint(LEFT, right),
        HEIGHT - 8.0,
        x.label,
        f64::midpoint(TOP, bottom),
        y.label
    )?;
    for (n, line) in series.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let dashes = if n < COLOURS.len() { "" } else { r#" stroke-dasharray="6 3""# };
        let points = line.points.iter().filter(|(x, y)| across.has(*x) && up.has(*y));
        let points: Vec<_> =
            points.map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y))).collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
        let legend = TOP + 16.0 * n as f64 + 8.0;
        write!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{colour}"{dashes} stroke-width="1.5"/><text x="{:.1}" y="{legend:.1}" fill="{colour}">{}</text>"#,
            points.join(" "),
            right + 8.0,
            line.name
        )?;
    }
    write!(out, "</svg>")
}

/// What an axis covers.
#[derive(Clone, Copy, Debug)]
struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Range {
    fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let bare = Self { scale, low: f64::NEG_INFINITY, high: f64::INFINITY };
        let values: Vec<_> = values.filter(|value| bare.has(*value)).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match scale {
            // Of nothing there is a chart too.
            _ if values.is_empty() => Self { scale, low: 0.1, high: 1.0 },
            Scale::Linear => Self { scale, low: 0.0, high: if high > 0.0 { high } else { 1.0 } },
            Scale::Log => {
                let low = 10_f64.powf(low.log10().floor());
                Self { scale, low, high: 10_f64.powf(high.log10().ceil()).max(low * 10.0) }
            }
            Scale::Quantile => Self { scale, low: 0.0, high: high.max(0.9) },
        }
    }

    /// Whether the value has a place on such an axis.
    fn has(self, value: f64) -> bool {
        value.is_finite()
            && match self.scale {
                Scale::Linear => true,
                Scale::Log => value > 0.0,
                Scale::Quantile => (0.0..1.0).contains(&value),
            }
    }

    /// How far along the axis a value is: 0 to 1.
    fn share(self, value: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
            Scale::Quantile => -(1.0 - value).log10(),
        };
        (along(value) - along(self.low)) / (along(self.high) - along(self.low))
    }

    fn ticks(self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = round_step(self.high / 5.0);
                let ticks = (0..).map(|n| f64::from(n) * step);
                ticks.take_while(|tick| *tick <= self.high * 1.000_001).collect()
            }
            Scale::Log => {
                let ticks = (-9..10).map(|power| 10_f64.powi(power));
                ticks.filter(|tick| *tick >= self.low * 0.99 && *tick <= self.high * 1.01).collect()
            }
            Scale::Quantile => {
                let ticks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999];
                ticks.into_iter().filter(|tick| *tick <= self.high).collect()
            }
        }
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let steps = [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power);
    steps.into_iter().find(|round| *round >= step * 0.999).unwrap_or(power * 10.0)
}

fn label(scale: Scale, value: f64) -> String {
    match scale {
        Scale::Quantile => format!("p{}", (value * 1e4).round() / 100.0),
        Scale::Linear | Scale::Log => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (rough, round) in [(0.7, 1.0), (1.3, 2.0), (2.0, 2.0), (37.0, 50.0), (60.0, 100.0)] {
            assert!((round_step(rough) - round).abs() < 1e-9, "{rough}");
        }
    }

    #[test]
    fn quantiles_are_spaced_by_what_is_left_above() {
        let range = Range { scale: Scale::Quantile, low: 0.0, high: 0.9999 };
        for (quantile, share) in [(0.0, 0.0), (0.9, 0.25), (0.99, 0.5), (0.9999, 1.0)] {
            assert!((range.share(quantile) - share).abs() < 1e-6, "{quantile}");
        }
    }

    #[test]
    fn each_point_lies_within_the_frame_and_what_has_no_place_is_left_out() {
        let axis = |scale| Axis { label: "", scale };
        let points = vec![(1.0, 0.5), (10.0, 500.0), (0.0, 1.0), (5.0, 0.0)];
        let series = [Series { name: "one", points }];
        let svg = chart("t", axis(Scale::Log), axis(Scale::Log), &series);
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(points.split(' ').count(), 2, "{points}");
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y));
        }
    }

    #[test]
    fn of_nothing_there_is_an_empty_chart() {
        let axis = Axis { label: "", scale: Scale::Linear };
        assert!(chart("t", axis, axis, &[]).ends_with("</svg>"));
    }
}
