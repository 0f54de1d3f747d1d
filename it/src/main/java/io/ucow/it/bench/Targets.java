package io.ucow.it.bench;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import com.grack.nanojson.JsonParserException;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import io.ucow.loop.LoopOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchService;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** ucow and its peers, in the order of the tables' columns. */
final class Targets {
    private static final String DIRECT = "direct";
    /** An image as {@code qemu-img} makes it by default. */
    private static final List<String> QCOW2 = List.of("--format", "qcow2", "--chunk", "64K");

    private Targets() {}

    /** @param ucow {@code bin/ucow} */
    static List<Target> all(Path ucow) {
        List<Target> all = new ArrayList<>(List.of(
                new Native(),
                new Qemu("qemu", "QEMU", ""),
                new Qemu("qemu-ext", "QEMU extended_l2", ",extended_l2=on,cluster_size=128k"),
                new Nbdkit(),
                new Xmount(),
                new PassThrough(ucow),
                new Ucow("ucow-jnr", "ucow `jnr`", Target.Family.UCOW, "jnr", List.of(), ucow),
                new Ucow("ucow-direct", "ucow `direct`", Target.Family.UCOW, DIRECT, List.of(), ucow),
                new Ucow("ucow-qcow2", "ucow qcow2", Target.Family.QCOW2, DIRECT, QCOW2, ucow)));
        all.addAll(StoreKind.all(ucow));
        return all;
    }

    private static Optional<String> missingProgram(String... programs) {
        for (String program : programs) {
            if (!Program.exists(program)) {
                return Optional.of("there is no program " + program);
            }
        }
        return Optional.empty();
    }

    /** Puts a loop device on {@code file}. */
    private static void attachLoop(Scratch scratch, Attachment attachment, Path file, boolean directIo)
            throws IOException {
        scratch.requireOpen();
        LoopDevice loop = LoopControl.attach(file, LoopOptions.defaults().withDirectIo(directIo));
        attachment.onClose(loop::detach);
        attachment.setDevice(loop.path());
    }

    private static void deleteOnClose(Attachment attachment, Path file) {
        attachment.onClose(() -> Files.deleteIfExists(file));
    }

    /** A raw copy of the base, all of it allocated. */
    private static Path copyBase(Scratch scratch, Attachment attachment) throws IOException {
        Path copy = scratch.path("copy.img");
        deleteOnClose(attachment, copy);
        scratch.program("cp", "--sparse=never", "--reflink=never", scratch.base(), copy)
                .run();
        return copy;
    }

    /** A raw copy under a loop device with the kernel's defaults: no copy-on-write, nothing in user space. */
    private record Native() implements Target {
        @Override
        public String name() {
            return "native";
        }

        @Override
        public Family family() {
            return Family.NATIVE;
        }

        @Override
        public Attachment attach(Scratch scratch) throws IOException {
            Attachment attachment = new Attachment();
            attachLoop(scratch, attachment, copyBase(scratch, attachment), false);
            return attachment;
        }

        @Override
        public boolean moves() {
            return true;
        }

        /** What there is to compare with is a copy of the same data by {@code cp}, which leaves holes, too. */
        @Override
        public Movable overlay(Scratch scratch, Path base, Path data) {
            return new Movable(data, copy(scratch, data, scratch.out()), copy(scratch, data, base));
        }

        private static Program copy(Scratch scratch, Path from, Path to) {
            return scratch.program("cp", "--sparse=always", from, to);
        }
    }

    /** {@code qemu-storage-daemon}'s FUSE export of a qcow2 overlay. */
    private record Qemu(String name, String label, String options) implements Target {
        @Override
        public Family family() {
            return Family.QEMU;
        }

        @Override
        public Optional<String> missing() {
            return missingProgram("qemu-storage-daemon", "qemu-img");
        }

        @Override
        public Attachment attach(Scratch scratch) throws IOException {
            Path image = scratch.path("overlay.qcow2");
            Path export = Files.createFile(scratch.path("qemu"));
            Path pidFile = scratch.path("qemu.pid");
            Attachment attachment = new Attachment();
            deleteOnClose(attachment, export);
            deleteOnClose(attachment, image);
            scratch.program(
                            "qemu-img",
                            "create",
                            "-q",
                            "-f",
                            "qcow2",
                            "-o",
                            "backing_file=" + scratch.base() + ",backing_fmt=raw" + options,
                            image)
                    .run();
            scratch.program(
                            "qemu-storage-daemon",
                            "--daemonize",
                            "--pidfile",
                            pidFile,
                            "--blockdev",
                            "driver=file,node-name=file,filename=" + image,
                            "--blockdev",
                            "driver=qcow2,node-name=disk,file=file",
                            "--export",
                            "type=fuse,id=export,node-name=disk,writable=on,mountpoint=" + export)
                    .run();
            long pid = Long.parseLong(Files.readString(pidFile).strip());
            attachment.onClose(() -> Scratch.endProcess(pid));
            attachLoop(scratch, attachment, export, true);
            return attachment;
        }

        @Override
        public boolean moves() {
            return true;
        }

        @Override
        public Movable overlay(Scratch scratch, Path base, Path data) throws IOException {
            Path image = scratch.path("overlay.qcow2");
            String over = "backing_file=" + base + ",backing_fmt=raw" + options;
            scratch.program("qemu-img", "create", "-q", "-f", "qcow2", "-o", over, image)
                    .run();
            scratch.program("qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", data, image)
                    .run();
            return new Movable(
                    image,
                    scratch.program("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, scratch.out()),
                    scratch.program("qemu-img", "commit", "-q", "-f", "qcow2", image));
        }

        @Override
        public Optional<Program> compress(Scratch scratch, String codec) {
            return options.isEmpty()
                    ? Optional.of(scratch.program(
                            "qemu-img",
                            "convert",
                            "-c",
                            "-f",
                            "raw",
                            "-O",
                            "qcow2",
                            "-o",
                            "compression_type=" + codec,
                            scratch.tree(),
                            scratch.out()))
                    : Optional.empty();
        }
    }

    /** {@code nbdkit}'s cow filter, which keeps changes in a temporary file, as a file through {@code nbdfuse}. */
    private record Nbdkit() implements Target {
        private static final long ALIVE_CHECK_MILLIS = 200;

        @Override
        public String name() {
            return "nbdkit";
        }

        @Override
        public String label() {
            return "nbdkit cow";
        }

        @Override
        public Family family() {
            return Family.OTHER;
        }

        @Override
        public boolean syncs() {
            return false;
        }

        @Override
        public Optional<String> missing() {
            return missingProgram("nbdfuse", "nbdkit");
        }

        @Override
        public Attachment attach(Scratch scratch) throws IOException {
            Path export = Files.createFile(scratch.path("nbd"));
            Path log = scratch.path("nbd.log");
            Path ready = Files.createDirectory(scratch.path("nbd.ready"));
            Path pidFile = ready.resolve("pid");
            Attachment attachment = new Attachment();
            deleteOnClose(attachment, export);
            deleteOnClose(attachment, ready);
            deleteOnClose(attachment, pidFile);
            try (WatchService watch = ready.getFileSystem().newWatchService()) {
                ready.register(watch, StandardWatchEventKinds.ENTRY_CREATE);
                Process process = scratch.program(
                                "nbdfuse",
                                "-P",
                                pidFile,
                                export,
                                "[",
                                "nbdkit",
                                "--exit-with-parent",
                                "--filter=cow",
                                "file",
                                scratch.base(),
                                "]")
                        .with("TMPDIR", scratch.path("").toString())
                        .start(log, log);
                attachment.onClose(() -> Scratch.endProcess(process.pid()));
                awaitFile(watch, process, log);
            }
            attachment.onClose(() -> scratch.program("umount", export).run());
            attachLoop(scratch, attachment, export, true);
            return attachment;
        }

        /** The pid file appears when the mount is there; the process may end instead. */
        private static void awaitFile(WatchService watch, Process process, Path log) throws IOException {
            try {
                while (watch.poll(ALIVE_CHECK_MILLIS, TimeUnit.MILLISECONDS) == null) {
                    if (!process.isAlive()) {
                        throw new IOException(
                                "nbdfuse ended: " + Files.readString(log).strip());
                    }
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted while nbdfuse was starting", e);
            }
        }
    }

    /** {@code xmount} with its write cache, made for forensics. */
    private record Xmount() implements Target {
        @Override
        public String name() {
            return "xmount";
        }

        @Override
        public Family family() {
            return Family.OTHER;
        }

        @Override
        public boolean syncs() {
            return false;
        }

        @Override
        public Optional<String> missing() {
            return missingProgram("xmount");
        }

        @Override
        public Attachment attach(Scratch scratch) throws IOException {
            Path dir = Files.createDirectory(scratch.path("xmount"));
            Path cache = scratch.path("xmount.cache");
            Attachment attachment = new Attachment();
            deleteOnClose(attachment, dir);
            deleteOnClose(attachment, cache);
            // It goes to the background when it has mounted.
            scratch.program("xmount", "--in", "raw", scratch.base(), "--out", "raw", "--cache", cache, dir)
                    .run();
            attachment.onClose(() -> scratch.program("umount", dir).run());
            attachLoop(scratch, attachment, dir.resolve("base.dd"), true);
            return attachment;
        }
    }

    /** The transport {@code direct} alone: a raw copy served as it is, by a device table with a linear target. */
    private record PassThrough(Path ucow) implements Target {
        private static final int SECTOR = 512;

        @Override
        public String name() {
            return "pass-through";
        }

        @Override
        public Family family() {
            return Family.PASS_THROUGH;
        }

        @Override
        public Attachment attach(Scratch scratch) throws IOException {
            Attachment attachment = new Attachment();
            Path copy = copyBase(scratch, attachment);
            Path table = scratch.path("copy.table");
            deleteOnClose(attachment, table);
            Files.writeString(
                    table, "disk: 0 " + Files.size(scratch.base()) / SECTOR + " linear " + copy.toRealPath() + " 0\n");
            Path dir = Files.createDirectory(scratch.path("linear"));
            deleteOnClose(attachment, dir);
            scratch.program(ucow, "mount", "--transport", DIRECT, "--table", table, dir)
                    .run();
            attachment.onClose(() -> scratch.program(ucow, "unmount", dir).run());
            attachLoop(scratch, attachment, dir.resolve("disk"), true);
            return attachment;
        }
    }

    /** ucow itself, as a user runs it. */
    private record Ucow(String name, String label, Family family, String transport, List<String> options, Path ucow)
            implements Target {
        @Override
        public Optional<String> missing() throws IOException {
            try {
                JsonArray plugins = JsonParser.array()
                        .from(Program.of(ucow, "plugins", "--json").run());
                for (Object plugin : plugins) {
                    JsonObject row = (JsonObject) plugin;
                    if (row.getString("kind").equals("transport")
                            && row.getString("name").equals(transport)) {
                        return row.getBoolean("usable") ? Optional.empty() : Optional.of(row.getString("description"));
                    }
                }
                return Optional.of("ucow has no transport " + transport);
            } catch (JsonParserException e) {
                throw new IOException("'ucow plugins --json' is no JSON: " + e.getMessage(), e);
            }
        }

        @Override
        public Attachment attach(Scratch scratch) throws IOException {
            Path image = scratch.path("disk.cow");
            Attachment attachment = new Attachment();
            deleteOnClose(attachment, image);
            List<Object> create = new ArrayList<>(List.of("create", "--base", scratch.base()));
            create.addAll(options);
            create.add(image);
            scratch.program(ucow, create.toArray()).run();
            String device = scratch.program(ucow, "attach", "--transport", transport, image)
                    .run();
            attachment.onClose(() -> scratch.program(ucow, "detach", image).run());
            attachment.setDevice(Path.of(device.strip()));
            return attachment;
        }

        /** No transport takes part: one row of them will do. */
        @Override
        public boolean moves() {
            return name.equals("ucow-direct");
        }

        @Override
        public Movable overlay(Scratch scratch, Path base, Path data) throws IOException {
            Path image = scratch.path("disk.cow");
            scratch.program(ucow, "create", "--base", data, image).run();
            // Data from a base that is not to be there afterwards is copied into the image.
            scratch.program(ucow, "rebase", "--base", base, image).run();
            return new Movable(
                    image,
                    scratch.program(ucow, "flatten", image, scratch.out()),
                    scratch.program(ucow, "commit", image));
        }

        @Override
        public Optional<Program> compress(Scratch scratch, String codec) throws IOException {
            if (!moves()) {
                return Optional.empty();
            }
            Path image = scratch.path("tree.cow");
            if (Files.notExists(image)) {
                scratch.program(ucow, "create", "--base", scratch.tree(), image).run();
            }
            return Optional.of(
                    scratch.program(ucow, "flatten", "-O", "qcow2", "--compress", codec, image, scratch.out()));
        }
    }
}
