//! Places: positions as phones give them, grids as polygons, and which grid a
//! position lies in, without a network.
//!
//! Positions are WGS-84 (CGCS2000 equals it at phone accuracy). Domestic maps
//! draw GCJ-02, which is shifted by some hundred metres: the conversion belongs
//! to the map's edge, nothing stored is ever shifted.
//!
//! What can go wrong: a phone gives nonsense (refused by [`BadPosition`]); a
//! position lies on a shared edge (the smaller code wins, everywhere); a
//! position lies just outside every grid ([`GridMap::nearest`]).

use std::fmt;
use std::str::FromStr;

use geo::{BoundingRect, Contains, Distance, Euclidean, Haversine, Intersects};
use geo::{Coord, LineString, Point, Polygon, Rect};

const E7: f64 = 1e7;

/// Where a position comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PositionSource {
    /// Satellites.
    Gps,
    /// Cells or Wi-Fi.
    Network,
    /// A pin on a map.
    Map,
    /// Typed or spoken.
    Manual,
}

impl PositionSource {
    const ALL: [Self; 4] = [Self::Gps, Self::Network, Self::Map, Self::Manual];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gps => "gps",
            Self::Network => "network",
            Self::Map => "map",
            Self::Manual => "manual",
        }
    }
}

/// A point on the earth, WGS-84.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Latitude, degrees × 10⁷ (about a centimetre), −90° to 90°.
    pub lat_e7: i64,
    /// Longitude, degrees × 10⁷, −180° to 180°.
    pub lon_e7: i64,
    /// 68 % radius in decimetres; `None` if the phone gave none.
    pub accuracy_dm: Option<u32>,
    /// Where it comes from.
    pub source: PositionSource,
}

/// A position that is not on the earth, or not a position at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a position: `{0}`; expected latitude,longitude[,accuracy in metres[,source]]")]
pub struct BadPosition(pub String);

impl Position {
    /// From degrees; accuracy in metres.
    ///
    /// # Errors
    /// Outside the ranges of the fields, or not finite.
    pub fn from_degrees(
        lat: f64,
        lon: f64,
        accuracy_m: Option<f64>,
        source: PositionSource,
    ) -> Result<Self, BadPosition> {
        let bad = || BadPosition(format!("{lat},{lon}"));
        let on_earth = lat.abs() <= 90.0 && lon.abs() <= 180.0;
        let accuracy = accuracy_m.unwrap_or(0.0);
        if !on_earth || !(0.0..=1e7).contains(&accuracy) {
            return Err(bad());
        }
        Ok(Self {
            lat_e7: (lat * E7).round() as i64,
            lon_e7: (lon * E7).round() as i64,
            accuracy_dm: accuracy_m.map(|metres| (metres * 10.0).round() as u32),
            source,
        })
    }

    /// Latitude, degrees.
    pub fn lat(&self) -> f64 {
        self.lat_e7 as f64 / E7
    }

    /// Longitude, degrees.
    pub fn lon(&self) -> f64 {
        self.lon_e7 as f64 / E7
    }

    /// Great-circle distance, metres.
    pub fn distance_m(&self, other: &Self) -> f64 {
        Haversine.distance(self.point(), other.point())
    }

    fn point(&self) -> Point {
        Point::new(self.lon(), self.lat())
    }
}

/// The text form, exact: `25.0460000,102.7050000,12.5,gps`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let degrees = |e7: i64| {
            let sign = if e7 < 0 { "-" } else { "" };
            let e7 = e7.unsigned_abs();
            format!("{sign}{}.{:07}", e7 / 10_000_000, e7 % 10_000_000)
        };
        write!(f, "{},{}", degrees(self.lat_e7), degrees(self.lon_e7))?;
        match self.accuracy_dm {
            Some(dm) => write!(f, ",{}.{}", dm / 10, dm % 10)?,
            None => f.write_str(",")?,
        }
        write!(f, ",{}", self.source.word())
    }
}

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let bad = || BadPosition(text.chars().take(80).collect());
        let mut parts = text.split(',').map(str::trim);
        let mut degrees = || parts.next()?.parse::<f64>().ok();
        let lat = degrees().ok_or_else(bad)?;
        let lon = degrees().ok_or_else(bad)?;
        let accuracy_m = match parts.next() {
            None | Some("") => None,
            Some(metres) => Some(metres.parse::<f64>().map_err(|_| bad())?),
        };
        let source = match parts.next() {
            None => PositionSource::Manual,
            Some(word) => PositionSource::ALL
                .into_iter()
                .find(|source| source.word() == word)
                .ok_or_else(bad)?,
        };
        if parts.next().is_some() {
            return Err(bad());
        }
        Self::from_degrees(lat, lon, accuracy_m, source).map_err(|_| bad())
    }
}

/// The outline of a grid, in longitude and latitude.
#[derive(Debug, Clone, PartialEq)]
pub struct Boundary {
    polygon: Polygon,
    around: Rect,
}

/// A ring of points that encloses nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a boundary: {0}")]
pub struct BadBoundary(pub &'static str);

impl Boundary {
    /// From the outer ring of (longitude, latitude) points, degrees; the last
    /// point repeats the first.
    ///
    /// # Errors
    /// Fewer than four points, not closed, or not on the earth.
    pub fn new(ring: Vec<(f64, f64)>) -> Result<Self, BadBoundary> {
        if ring.len() < 4 {
            return Err(BadBoundary("a ring needs at least four points"));
        }
        if ring.first() != ring.last() {
            return Err(BadBoundary("the ring is not closed"));
        }
        if !ring
            .iter()
            .all(|(lon, lat)| lon.abs() <= 180.0 && lat.abs() <= 90.0)
        {
            return Err(BadBoundary("a point is not on the earth"));
        }
        let line: LineString = ring.into_iter().map(|(x, y)| Coord { x, y }).collect();
        let polygon = Polygon::new(line, Vec::new());
        let around = polygon.bounding_rect();
        Ok(Self {
            polygon,
            around: around.ok_or(BadBoundary("empty"))?,
        })
    }

    /// Whether a position lies inside or on the edge.
    pub fn contains(&self, position: &Position) -> bool {
        let point = position.point();
        self.around.intersects(&point)
            && (self.polygon.contains(&point) || self.polygon.exterior().intersects(&point))
    }

    /// Distance of a position from the outline, metres; 0 inside. Flat
    /// approximation, good to a percent within some kilometres.
    fn distance_m(&self, position: &Position) -> f64 {
        const METRES_PER_DEGREE: f64 = 111_195.0;
        let scale = position.lat().to_radians().cos();
        let flat = |coord: Coord| Coord {
            x: coord.x * scale * METRES_PER_DEGREE,
            y: coord.y * METRES_PER_DEGREE,
        };
        let outline: LineString = self.polygon.exterior().coords().map(|c| flat(*c)).collect();
        let point = Point(flat(position.point().0));
        Euclidean.distance(&point, &Polygon::new(outline, Vec::new()))
    }
}

/// All grids of a street.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GridMap {
    /// By code, ascending.
    grids: Vec<(String, Boundary)>,
}

impl GridMap {
    /// From codes and outlines, in any order.
    pub fn new(mut grids: Vec<(String, Boundary)>) -> Self {
        grids.sort_by(|a, b| a.0.cmp(&b.0));
        Self { grids }
    }

    /// The grid that contains a position; on a shared edge the smaller code.
    pub fn locate(&self, position: &Position) -> Option<&str> {
        let mut grids = self.grids.iter();
        grids
            .find(|(_, boundary)| boundary.contains(position))
            .map(|(code, _)| code.as_str())
    }

    /// The nearest grid within `reach_m` metres; the smaller code of two that
    /// are equally near.
    pub fn nearest(&self, position: &Position, reach_m: f64) -> Option<&str> {
        self.grids
            .iter()
            .map(|(code, boundary)| (boundary.distance_m(position), code))
            .filter(|(distance, _)| *distance <= reach_m)
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, code)| code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(lon: f64, lat: f64) -> Boundary {
        let (right, top) = (lon + 0.001, lat + 0.001);
        let ring = vec![
            (lon, lat),
            (right, lat),
            (right, top),
            (lon, top),
            (lon, lat),
        ];
        Boundary::new(ring).expect("closed")
    }

    fn at(lat: f64, lon: f64) -> Position {
        Position::from_degrees(lat, lon, Some(12.5), PositionSource::Gps).expect("on earth")
    }

    #[test]
    fn a_position_survives_its_text_form() {
        for position in [at(25.046, 102.705), at(-0.000_000_1, -179.999_999_9)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for bad in [
            "",
            "91,0",
            "1,181",
            "NaN,1",
            "1,2,-3",
            "1,2,3,moon",
            "1,2,,gps,5",
        ] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_shared_edge_belongs_to_the_smaller_code_and_near_misses_to_the_nearest() {
        let map = GridMap::new(vec![
            ("2".into(), square(102.701, 25.0)),
            ("1".into(), square(102.700, 25.0)),
        ]);
        assert_eq!(map.locate(&at(25.0005, 102.701)), Some("1"));
        assert_eq!(map.locate(&at(25.0005, 102.7015)), Some("2"));
        let outside = at(25.0005, 102.7021);
        assert_eq!(map.locate(&outside), None);
        assert_eq!(map.nearest(&outside, 5.0), None);
        assert_eq!(map.nearest(&outside, 15.0), Some("2"));
    }

    #[test]
    fn a_degree_of_latitude_is_about_111_kilometres() {
        let distance = at(25.0, 102.0).distance_m(&at(26.0, 102.0));
        assert!((111_000.0..111_400.0).contains(&distance), "{distance}");
    }
}
