//! What processes cost, from procfs: CPU by group of processes, and memory.
//!
//! A group is a process with everything below it. A child that has ended is counted in its parent's "children" fields, so
//! that a difference of two readings holds the CPU of those that came and went in between.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;

use super::harness::child::descendants;

/// The kernel's clock ticks are hundredths of a second on every Linux that Rust supports.
const MS_PER_TICK: u64 = 10;

/// CPU in milliseconds, by group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(BTreeMap<&'static str, u64>);

/// The groups that are measured.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    /// By name: the process at the top of each; several of one name are summed up.
    pub tops: Vec<(&'static str, u32)>,
    /// The stub's thread in this process.
    pub stub: u32,
}

impl Groups {
    /// Reads them all. `machine` is everything that ran anywhere on this machine.
    pub(crate) fn read(&self) -> anyhow::Result<Cpu> {
        let mut cpu: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (name, top) in &self.tops {
            let family = descendants(*top).into_iter().chain([*top]);
            // One that ended while the list was made is in its parent's fields by now.
            *cpu.entry(*name).or_default() +=
                family.filter_map(|pid| ticks(&format!("/proc/{pid}/stat"), 4).ok()).sum::<u64>() * MS_PER_TICK;
        }
        let stub = ticks(&format!("/proc/self/task/{}/stat", self.stub), 2)? * MS_PER_TICK;
        cpu.insert("stub", stub);
        cpu.insert("load", (ticks("/proc/self/stat", 2)? * MS_PER_TICK).saturating_sub(stub));
        cpu.insert("machine", machine()?);
        Ok(Cpu(cpu))
    }
}

impl Cpu {
    /// What was used since `before`, and `others`: what ran on this machine that is none of ours.
    pub(crate) fn since(&self, before: &Cpu) -> BTreeMap<String, u64> {
        let spent = |name: &str| {
            let read = |cpu: &Cpu| cpu.0.get(name).copied().unwrap_or_default();
            read(self).saturating_sub(read(before))
        };
        let ours = self.0.keys().filter(|name| **name != "machine");
        let mut all: BTreeMap<String, u64> = ours.map(|name| ((*name).to_owned(), spent(name))).collect();
        let sum: u64 = all.values().sum();
        all.insert("others".to_owned(), spent("machine").saturating_sub(sum));
        all
    }
}

/// The first `fields` of utime, stime, cutime, cstime, summed.
fn ticks(path: &str, fields: usize) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let (_, rest) = stat.rsplit_once(')').context("a process without a name")?;
    // utime is field 14 of the file, and the first after the name is field 3.
    let read = rest.split_whitespace().skip(11).take(fields).map(str::parse::<u64>);
    Ok(read.collect::<Result<Vec<_>, _>>()?.iter().sum())
}

/// User, nice, system, interrupts and stolen time of all cores.
fn machine() -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let numbers: Vec<u64> =
        stat.lines().next().context("an empty /proc/stat")?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    Ok([0, 1, 2, 5, 6, 7].iter().filter_map(|field| numbers.get(*field)).sum::<u64>() * MS_PER_TICK)
}

/// This thread's id.
pub(crate) fn own_thread() -> anyhow::Result<u32> {
    let link = fs::read_link("/proc/thread-self")?;
    let id = link.file_name().and_then(|name| name.to_str()).context("no thread id")?;
    Ok(id.parse()?)
}

/// The most resident memory that a process ever had, in MiB.
pub(crate) fn peak_mib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
