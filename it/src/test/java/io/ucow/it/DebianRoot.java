package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/**
 * A root file system that Debian's own programs run in: this machine's essential packages with all that they depend on, some
 * 90 MB, and dpkg's records of them.
 *
 * <p>Threading: one thread.
 */
final class DebianRoot {
    private static final Path DATABASE = Path.of("/var/lib/dpkg");

    private DebianRoot() {}

    /** Skips the test where this is no Debian. */
    static void needs() {
        Requirements.tools("dpkg-query", "apt-cache", "tar", "chroot", "find", "diff");
    }

    /** Copies it to a new directory. */
    static void copyTo(Path root) throws IOException {
        List<String> packages = packages();
        Path archive = root.resolveSibling(root.getFileName() + ".tar");
        Files.createDirectory(root);
        Tool.of("tar", "-C", "/", "--no-recursion", "-cf", archive, "-T", "-")
                .reading(String.join("\n", files(packages)))
                .succeed();
        Tool.of("tar", "-C", root, "-xpf", archive).succeed();
        Files.delete(archive);
        copyDatabase(packages, root);
    }

    /** Without the lists of what could be installed, which would take seconds to read. */
    private static List<String> packages() throws IOException {
        String essential = Tool.of("dpkg-query", "-W", "-f", "${Essential} ${Package}\n")
                .succeed()
                .stdout();
        List<Object> depends = new ArrayList<>(List.of(
                "-o", "Dir::State::Lists=/none", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="));
        depends.addAll(List.of("depends", "--recurse", "--installed", "--important"));
        essential
                .lines()
                .filter(l -> l.startsWith("yes "))
                .map(l -> l.substring(4))
                .forEach(depends::add);
        List<Object> query = new ArrayList<>(List.of("-W", "-f", "${db:Status-Status} ${binary:Package}\n"));
        Tool.of("apt-cache", depends.toArray())
                .succeed()
                .stdout()
                .lines()
                .filter(l -> l.matches("[a-z0-9].*"))
                .forEach(query::add);
        // It fails for names that stand for other packages, and tells of all others.
        return Tool.of("dpkg-query", query.toArray())
                .run()
                .stdout()
                .lines()
                .filter(l -> l.startsWith("installed "))
                .map(l -> l.substring("installed ".length()))
                .toList();
    }

    /** What is there of their files, with {@code /bin} and the like for the links that they are. */
    private static Iterable<String> files(List<String> packages) throws IOException {
        List<Object> list = new ArrayList<>(List.of("--listfiles"));
        list.addAll(packages);
        TreeSet<String> found = new TreeSet<>();
        for (String line :
                Tool.of("dpkg-query", list.toArray()).succeed().stdout().split("\n", -1)) {
            Path file = Path.of(line);
            if (file.isAbsolute() && file.getParent() != null && Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                Path real = file.getParent().toRealPath().resolve(file.getFileName());
                found.add(Path.of("/").relativize(real).toString());
            }
        }
        return found;
    }

    private static void copyDatabase(List<String> packages, Path root) throws IOException {
        Path database = root.resolve(Path.of("/").relativize(DATABASE));
        Path info = Files.createDirectories(database.resolve("info"));
        List<Object> status = new ArrayList<>(List.of("--status"));
        status.addAll(packages);
        Files.writeString(
                database.resolve("status"),
                Tool.of("dpkg-query", status.toArray()).succeed().stdout());
        for (String name : packages) {
            try (DirectoryStream<Path> records = Files.newDirectoryStream(DATABASE.resolve("info"), name + ".*")) {
                for (Path record : records) {
                    Files.copy(record, info.resolve(record.getFileName()));
                }
            }
        }
    }

    /** Runs a script of the shell in such a file system, with the programs that are there. */
    static void run(Path root, String script) throws IOException {
        Tool.of("chroot", root, "/bin/sh", "-ec", script).succeed();
    }

    /** Two of them have the same files: content, and kind, mode, owner, links and target of each. */
    static void assertSame(Path expected, Path found) throws IOException {
        assertThat(listing(found)).hasSizeGreaterThan(1000).isEqualTo(listing(expected));
        Tool.of("diff", "-r", "--no-dereference", "--exclude=lost+found", expected, found)
                .succeed();
    }

    private static List<String> listing(Path root) throws IOException {
        String tests = "-name lost+found -prune -o -type d -printf %P|%M|%U|%G\\n -o -printf %P|%M|%U|%G|%n|%s|%l\\n";
        return Tool.of("find", (Object[]) tests.split(" ", -1))
                .in(root)
                .succeed()
                .stdout()
                .lines()
                .sorted()
                .toList();
    }
}
