package io.ucow.store;

/** Told what a scrub finds. */
public interface ScrubListener {
    /** So many bytes are read of those that will be. */
    void progress(long checkedBytes, long totalBytes);

    /** What the device has from {@code guestOffset} on cannot be read any more: {@code lengthBytes} of it. */
    void damaged(long guestOffset, long lengthBytes);
}
