//! "Did you mean …?"

/// The candidate nearest to what was written, if it is near enough to be a slip.
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let distance = |candidate: &str| {
        strsim::damerau_levenshtein(&written.to_lowercase(), &candidate.to_lowercase())
    };
    let slip_max = 1 + written.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= slip_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?` or the choices, to be put after what is wrong.
pub fn hint<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(written, candidates.iter().copied()) {
        Some(near) => format!("; did you mean {near:?}?"),
        None if candidates.is_empty() || candidates.len() > 24 => String::new(),
        None => format!("; there are {}", candidates.join(", ")),
    }
}
