//! Pages lead somewhere.

use crate::sources::{none, root, texts};

#[test]
fn links_between_pages_lead_to_files() {
    let pages = texts().into_iter().filter(|source| source.path.ends_with(".md"));
    let places = pages.flat_map(|page| {
        let folder = root().join(&page.path).parent().expect("a page lies in a folder").to_owned();
        let targets =
            page.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        // Not to the web, not into the same page, and not to an item of the code, which rustdoc looks after.
        let files = targets
            .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains("::"));
        let dead = files.filter(|target| !folder.join(target.split('#').next().unwrap_or(target)).exists());
        dead.map(|target| format!("{}: {target}", page.path)).collect::<Vec<_>>()
    });
    none("a link leads nowhere", places.collect());
}
