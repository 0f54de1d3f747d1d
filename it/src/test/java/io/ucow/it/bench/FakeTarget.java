package io.ucow.it.bench;

/** A target that only has a name. */
record FakeTarget(String name, Family family, boolean syncs) implements Target {
    static final FakeTarget NATIVE = new FakeTarget("native", Family.NATIVE, true);
    static final FakeTarget QEMU = new FakeTarget("qemu", Family.QEMU, true);
    static final FakeTarget QEMU_EXT = new FakeTarget("qemu-ext", Family.QEMU, true);
    static final FakeTarget LAX = new FakeTarget("lax", Family.OTHER, false);
    static final FakeTarget PASS_THROUGH = new FakeTarget("pass-through", Family.PASS_THROUGH, true);
    static final FakeTarget UCOW = new FakeTarget("ucow", Family.UCOW, true);
    static final FakeTarget QCOW2 = new FakeTarget("ucow-qcow2", Family.QCOW2, true);
    static final FakeTarget PLAIN = new FakeTarget(StoreKind.PLAIN, Family.STORE, true);
    static final FakeTarget LZ4 = new FakeTarget("store-lz4", Family.STORE, true);

    @Override
    public Attachment attach(Scratch scratch) {
        throw new UnsupportedOperationException(name);
    }
}
