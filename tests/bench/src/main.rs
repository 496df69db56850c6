//! Measures calls and requests against limits and peers.
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use hotbay::{Config, Host};

trait Service: Send + Sync {
    fn add(&self, request: &[u8], reply: &mut Vec<u8>);
    fn first(&self, request: &[u8], reply: &mut Vec<u8>);
    fn add_owned(&self, request: &[u8]) -> Vec<u8>;
}
#[derive(Default)]
struct Local(AtomicU64);
impl Service for Local {
    fn add(&self, _: &[u8], reply: &mut Vec<u8>) {
        reply.clear();
        reply.extend_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    }
    fn first(&self, request: &[u8], reply: &mut Vec<u8>) {
        reply.clear();
        reply.extend_from_slice(&request[..8]);
    }
    fn add_owned(&self, _: &[u8]) -> Vec<u8> {
        self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec()
    }
}

fn main() {
    hotbay::probe::entry();
    let plugins = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let lib = exe.parent().unwrap().join("examples/libtarget.so");
    std::fs::copy(&lib, plugins.path().join("libtarget.so")).unwrap();
    let mut config = Config::default();
    config.plugins = plugins.path().into();
    config.home = home.path().join("h");
    let host = Host::start(config).unwrap();
    assert!(host.ready(Duration::from_secs(20)));
    let local: Box<dyn Service> = black_box(Box::new(Local::default()));
    let atom = AtomicU64::new(0);
    let request = [7u8; 64];
    let mut hop = request; hop[0] = 100;
    let mut rows: Vec<(&str, u64, Vec<f64>, Box<dyn FnMut(u64)>)> = vec![];
    let mut reply = Vec::with_capacity(64);
    { let atom: &'static AtomicU64 = Box::leak(Box::new(atom)); rows.push(("lock add", 1, vec![], Box::new(move |n| for _ in 0..n { black_box(atom.fetch_add(1, Ordering::Relaxed)); }))); }
    let local: &'static dyn Service = Box::leak(local);
    { let mut reply = reply.clone(); rows.push(("dyn", 1, vec![], Box::new(move |n| for _ in 0..n { local.add(black_box(&request), &mut reply); black_box(&reply); }))); }
    { let mut reply = reply.clone(); rows.push(("dyn first", 1, vec![], Box::new(move |n| for _ in 0..n { local.first(black_box(&request), &mut reply); black_box(&reply); }))); }
    rows.push(("dyn owned", 1, vec![], Box::new(move |n| for _ in 0..n { black_box(local.add_owned(black_box(&request))); })));
    
    {
        let handle = host.handle("target").unwrap();
        { let mut reply = reply.clone(); let h = handle.clone(); rows.push(("call", 1, vec![], Box::new(move |n| for _ in 0..n { reply.clear(); h.call("add", black_box(&request), &mut reply).unwrap(); black_box(&reply); }))); }
        let mut reply = reply.clone(); let h = handle.clone(); rows.push(("call first", 1, vec![], Box::new(move |n| for _ in 0..n { reply.clear(); h.call("first", black_box(&request), &mut reply).unwrap(); black_box(&reply); })));
        let mut reply = vec![]; let h = handle.clone(); rows.push(("hop", 100, vec![], Box::new(move |n| for _ in 0..n/100 { reply.clear(); h.call("hop", black_box(&hop), &mut reply).unwrap(); black_box(&reply); })));
    }
    { let host = host.clone(); let mut reply = reply.clone(); rows.push(("name", 1, vec![], Box::new(move |n| for _ in 0..n { reply.clear(); host.call("target", "add", black_box(&request), &mut reply).unwrap(); black_box(&reply); }))); }
    { let host = host.clone(); rows.push(("name owned", 1, vec![], Box::new(move |n| for _ in 0..n { let mut reply = Vec::new(); host.call("target", "add", black_box(&request), &mut reply).unwrap(); black_box(&reply); }))); }
    { let host = host.clone(); rows.push(("name hop", 100, vec![], Box::new(move |n| for _ in 0..n/100 { reply.clear(); host.call("target", "hop", black_box(&hop), &mut reply).unwrap(); black_box(&reply); }))); }
    let only = std::env::args().nth(1);
    for _ in 0..60 {
        for (name, _, times, run) in &mut rows {
            if only.as_ref().is_some_and(|o| o != name) { continue; }
            let n = if only.is_some() { 2_000_000 } else { 20_000 };
            run(n / 10);
            let t = Instant::now(); run(n); times.push(t.elapsed().as_nanos() as f64 / n as f64);
        }
    }
    for (name, _, times, _) in &mut rows { if times.is_empty() { continue; } times.sort_by(f64::total_cmp); println!("{name:12} {:7.2} ns  min {:7.2}", times[times.len()/2], times[0]); }
    std::process::exit(0);
}
