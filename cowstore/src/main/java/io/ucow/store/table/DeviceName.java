package io.ucow.store.table;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;

/**
 * Device names as {@code dmsetup} prints them: every byte that is not a letter, a digit or one of {@code +-.:=@_} is
 * written {@code \xHH}. Source: {@code mangle_string} in LVM2's {@code libdm/libdm-common.c}, which leaves a {@code #}
 * as it is; here it is written {@code \x23}, lest a line look like a comment.
 */
final class DeviceName {
    private static final String PLAIN = "+-.:=@_";
    /** Longest name of a file in a mount, in bytes. */
    private static final int MAX_BYTES = 255;

    private DeviceName() {}

    /** Whether a file of this name can stand in a mount's directory. */
    static boolean isUsable(String name) {
        return !name.isEmpty()
                && !name.equals(".")
                && !name.equals("..")
                && name.indexOf('/') < 0
                && name.indexOf('\0') < 0
                && name.getBytes(StandardCharsets.UTF_8).length <= MAX_BYTES;
    }

    /** The name that {@code mangled} stands for. A backslash that begins no {@code \xHH} stands for itself. */
    static String decode(String mangled) {
        ByteArrayOutputStream name = new ByteArrayOutputStream();
        byte[] bytes = mangled.getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < bytes.length; i++) {
            if (isEscape(bytes, i)) {
                name.write(HexFormat.fromHexDigit(bytes[i + 2]) << 4 | HexFormat.fromHexDigit(bytes[i + 3]));
                i += 3;
            } else {
                name.write(bytes[i]);
            }
        }
        return name.toString(StandardCharsets.UTF_8);
    }

    /** {@code name} such that {@link #decode} gives it back, without white space. */
    static String encode(String name) {
        StringBuilder mangled = new StringBuilder(name.length());
        for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
            if (isPlain(b)) {
                mangled.append((char) b);
            } else {
                mangled.append("\\x").append(HexFormat.of().toHexDigits(b));
            }
        }
        return mangled.toString();
    }

    private static boolean isEscape(byte[] bytes, int at) {
        return at + 3 < bytes.length
                && bytes[at] == '\\'
                && bytes[at + 1] == 'x'
                && HexFormat.isHexDigit(bytes[at + 2])
                && HexFormat.isHexDigit(bytes[at + 3]);
    }

    private static boolean isPlain(byte b) {
        return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || PLAIN.indexOf(b) >= 0;
    }
}
