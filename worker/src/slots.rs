//! Room for attempts: one slot per GPU.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

/// The slots of a worker. Only the dispatcher has it, so that what is free
/// when it claims is still free when the claim has been answered.
#[derive(Debug)]
pub(crate) struct Slots {
    count: usize,
    free: BTreeSet<i32>,
    put_back: mpsc::Sender<i32>,
    returned: mpsc::Receiver<i32>,
}

/// One taken slot: it is free again when this is dropped, however the attempt
/// ended.
#[derive(Debug)]
pub(crate) struct Slot {
    gpu_id: i32,
    put_back: mpsc::Sender<i32>,
}

impl Slots {
    /// Slots for the GPUs 0 to `count` - 1, all free.
    pub(crate) fn new(count: u16) -> Self {
        // As many places as slots, so that giving one back never has to wait.
        let (put_back, returned) = mpsc::channel(usize::from(count).max(1));
        Self { count: count.into(), free: (0..i32::from(count)).collect(), put_back, returned }
    }

    /// The free GPUs.
    pub(crate) fn free(&self) -> Vec<i32> {
        self.free.iter().copied().collect()
    }

    /// Whether there is room for another attempt.
    pub(crate) fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Whether no attempt runs.
    pub(crate) fn all_free(&self) -> bool {
        self.free.len() == self.count
    }

    /// Takes the slot of a free GPU.
    pub(crate) fn take(&mut self, gpu_id: i32) -> Slot {
        self.free.remove(&gpu_id);
        Slot { gpu_id, put_back: self.put_back.clone() }
    }

    /// Waits until at least one slot has been given back since the last look.
    pub(crate) async fn freed(&mut self) {
        if let Some(gpu_id) = self.returned.recv().await {
            self.free.insert(gpu_id);
        }
        self.collect();
    }

    /// Takes note of all slots that have been given back.
    pub(crate) fn collect(&mut self) {
        while let Ok(gpu_id) = self.returned.try_recv() {
            self.free.insert(gpu_id);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Fails only when the dispatcher is gone, and then nobody claims any more.
        let _ = self.put_back.try_send(self.gpu_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_is_free_again_once_it_is_dropped() {
        let mut slots = Slots::new(2);
        let taken = [slots.take(1), slots.take(0)];
        assert!(!slots.any_free());

        drop(taken);
        slots.freed().await;

        assert_eq!(slots.free(), [0, 1]);
    }

    #[tokio::test]
    async fn a_panicking_attempt_gives_its_slot_back() {
        let mut slots = Slots::new(1);
        let slot = slots.take(0);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let _slot = slot;
            panic!("on purpose");
        });
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());

        slots.freed().await;

        assert_eq!(slots.free(), [0]);
    }

    #[test]
    fn without_gpus_there_is_no_room() {
        assert!(!Slots::new(0).any_free());
    }
}
