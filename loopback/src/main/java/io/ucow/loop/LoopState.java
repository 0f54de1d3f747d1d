package io.ucow.loop;

/**
 * One attachment as sysfs shows it at one moment.
 *
 * @param number N of {@code /dev/loopN}
 * @param diskSequence what tells this attachment from earlier and later ones of the same number: the kernel counts it
 *     up at each attach and detach, of any disk; 0 before Linux 5.15, where attachments cannot be told apart
 * @param backingFile absolute path of the file as the kernel knows it now, symbolic links resolved
 * @param backingDeleted whether the kernel marked that path deleted
 * @param offsetBytes where in the file the device starts
 * @param sizeLimitBytes longest size of the device, 0 for none
 * @param sizeBytes size of the device
 * @param options what is in force
 */
record LoopState(
        int number,
        long diskSequence,
        String backingFile,
        boolean backingDeleted,
        long offsetBytes,
        long sizeLimitBytes,
        long sizeBytes,
        LoopOptions options) {}
