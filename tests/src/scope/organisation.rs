//! A street as it might be: two to four communities with a grid or more each,
//! and people who hold one role, several, or none.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use shaodao_core::pack;

/// Code of the street.
pub const STREET: &str = "530102001";
const POSTS: [&str; 3] = ["urban", "police", "property"];

/// Somebody.
#[derive(Debug, Clone)]
pub struct Somebody {
    /// Staff number.
    pub id: String,
    /// Roles, each with its scope.
    pub roles: Vec<(&'static str, String)>,
    /// Posts, each with its grid.
    pub posts: Vec<(&'static str, String)>,
}

/// A street and its people.
#[derive(Debug, Clone)]
pub struct Organisation {
    /// Codes of the communities.
    pub communities: Vec<String>,
    /// Codes of the grids; each begins with its community's.
    pub grids: Vec<String>,
    /// Departments and units.
    pub bodies: Vec<String>,
    /// Everybody.
    pub people: Vec<Somebody>,
}

impl Organisation {
    /// Draws one.
    pub fn draw(rng: &mut StdRng) -> Self {
        let communities: Vec<String> = (1..=rng.random_range(2..5))
            .map(|nth| format!("{STREET}{nth:03}"))
            .collect();
        let grids: Vec<String> = communities
            .iter()
            .flat_map(|code| {
                let count = rng.random_range(1..4);
                (1..=count).map(move |nth| format!("{code}{nth:03}"))
            })
            .collect();
        let bodies: Vec<String> = (1..=rng.random_range(1..4))
            .map(|nth| format!("D{nth:02}"))
            .collect();
        let mut drawn = Self {
            communities,
            grids,
            bodies,
            people: Vec::new(),
        };
        for community in drawn.communities.clone() {
            drawn.join(vec![("secretary", community.clone())], Vec::new());
            if rng.random_bool(0.5) {
                drawn.join(vec![("supervisor", community)], Vec::new());
            }
        }
        for grid in drawn.grids.clone() {
            for _ in 0..rng.random_range(1..3) {
                let mut roles = vec![("member", grid.clone())];
                if rng.random_bool(0.15) {
                    let other = rng.random_range(0..drawn.grids.len());
                    roles.push(("member", drawn.grids[other].clone()));
                }
                let holds = rng.random_bool(0.5);
                let post = POSTS[rng.random_range(0..POSTS.len())];
                let posts = holds.then(|| (post, grid.clone()));
                drawn.join(roles, posts.into_iter().collect());
            }
        }
        for body in drawn.bodies.clone() {
            drawn.join(vec![("liaison", body)], Vec::new());
        }
        let street = STREET.to_owned();
        drawn.join(vec![("dispatcher", street.clone())], Vec::new());
        if rng.random_bool(0.5) {
            drawn.join(vec![("supervisor", street.clone())], Vec::new());
        }
        drawn.join(vec![("administrator", street)], Vec::new());
        // A police officer of a grid who is nothing else, and somebody who is
        // nobody.
        let grid = drawn.grids[rng.random_range(0..drawn.grids.len())].clone();
        drawn.join(Vec::new(), vec![("police", grid)]);
        drawn.join(Vec::new(), Vec::new());
        // And one who is too much at once.
        let own = drawn.grids[rng.random_range(0..drawn.grids.len())].clone();
        let body = drawn.bodies[rng.random_range(0..drawn.bodies.len())].clone();
        drawn.join(vec![("member", own), ("liaison", body)], Vec::new());
        drawn
    }

    fn join(&mut self, roles: Vec<(&'static str, String)>, posts: Vec<(&'static str, String)>) {
        let id = format!("Q{:03}", self.people.len() + 1);
        self.people.push(Somebody { id, roles, posts });
    }

    /// The directory pack: the sample street's codes, calendars and policy with
    /// these people.
    pub fn pack(&self) -> Vec<u8> {
        let mut pack: Value = serde_json::from_slice(pack::HUASHAN).expect("the sample street");
        pack["communities"] = self
            .communities
            .iter()
            .map(|code| json!({ "code": code, "name": code, "class": "A" }))
            .collect();
        let ring = |nth: usize| {
            let (x, y) = (102.0 + nth as f64 / 100.0, 25.0);
            json!([[x, y], [x + 0.005, y], [x + 0.005, y + 0.005], [x, y]])
        };
        pack["grids"] = self
            .grids
            .iter()
            .enumerate()
            .map(|(nth, code)| {
                json!({ "code": code, "name": code, "community": &code[..12], "version": 1,
                        "ring": ring(nth) })
            })
            .collect();
        pack["organisations"] = self
            .bodies
            .iter()
            .map(|id| json!({ "id": id, "name": id, "platform": 1 }))
            .collect();
        pack["people"] = self.people.iter().map(as_pack).collect();
        serde_json::to_vec(&pack).expect("serialises")
    }
}

fn as_pack(somebody: &Somebody) -> Value {
    let roles: Value = somebody
        .roles
        .iter()
        .map(|(role, scope)| json!({ "role": role, "scope": scope }))
        .collect();
    let posts: Value = somebody
        .posts
        .iter()
        .map(|(post, grid)| json!({ "post": post, "grid": grid }))
        .collect();
    json!({ "id": somebody.id, "name": somebody.id, "roles": roles, "posts": posts })
}
