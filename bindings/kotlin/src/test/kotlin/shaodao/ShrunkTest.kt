package shaodao

import com.sun.jna.Native
import java.io.File
import java.nio.file.Path
import java.util.zip.ZipEntry
import java.util.zip.ZipFile
import java.util.zip.ZipOutputStream
import kotlinx.coroutines.CoroutineScope
import org.jetbrains.annotations.NotNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/**
 * An app as it is released: R8 removes, renames and inlines whatever no rule keeps. The app's
 * own rules name its entry; everything else has to be in this library's (`shaodao.pro`).
 */
class ShrunkTest {
    /** JNA reaches fields, callbacks and annotations by name: one that is gone ends the app at its first call. */
    @Test
    fun `a shrunk program enrols, reports and syncs`(@TempDir folder: Path) {
        val shrunk = shrink(folder)
        ZipFile(shrunk).use { assertNull(it.getEntry("shaodao/Phone.class"), "nothing was renamed") }
        Server(folder).use { server ->
            val phone = folder.resolve("phone").also { it.toFile().mkdirs() }
            val library = "-Djna.library.path=${System.getProperty("jna.library.path")}"
            val program = java(
                library, "-Dstdout.encoding=UTF-8", "-Dfile.encoding=UTF-8", "-cp", "$shrunk",
                "ReportKt", server.address, server.ticket(XIAO), "$phone",
            )
            var said = ""
            for (line in program.inputReader(Charsets.UTF_8).lineSequence()) {
                said += "$line\n"
                Regex("Check code: (\\d{6})").find(line)?.let { server.confirm(it.groupValues[1]) }
            }
            assertEquals(0, program.waitFor(), said)
            assertTrue("萧桂英: 1 on this phone" in said && "Accepted: 1" in said, said)
        }
    }

    /** The program of the README and everything that it stands on, through R8. */
    private fun shrink(folder: Path): File {
        val library = origin(Phone::class.java)
        val program = origin(ShrunkTest::class.java).walk().filter { it.name.startsWith("ReportKt") }
        val inputs = listOf(
            jar(folder, "library", library, library.walk()),
            jar(folder, "program", origin(ShrunkTest::class.java), program),
        ) + listOf(Native::class, CoroutineScope::class, Unit::class, NotNull::class).map { origin(it.java) }
        val rules = File("$folder/app.pro")
        rules.writeText("-keep class ReportKt { public static void main(java.lang.String[]); }")
        val shrunk = File("$folder/shrunk.jar")
        val r8 = java(
            "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("shaodao.r8"), "com.android.tools.r8.R8",
            "--classfile", "--release", "--lib", System.getProperty("java.home"),
            "--pg-conf", "$rules", "--output", "$shrunk", *inputs.map { "$it" }.toTypedArray(),
        )
        val said = r8.inputReader().readText()
        assertEquals(0, r8.waitFor(), said)
        return shrunk
    }

    private fun origin(type: Class<*>) = File(type.protectionDomain.codeSource.location.toURI())

    /** With the rules that lie in it, as Maven makes it. */
    private fun jar(folder: Path, name: String, root: File, files: Sequence<File>): File {
        val jar = File("$folder/$name.jar")
        ZipOutputStream(jar.outputStream()).use { zip ->
            files.filter { it.isFile }.forEach { file ->
                zip.putNextEntry(ZipEntry(file.relativeTo(root).invariantSeparatorsPath))
                file.inputStream().use { it.copyTo(zip) }
            }
        }
        return jar
    }

    private fun java(vararg arguments: String): Process {
        val java = "${System.getProperty("java.home")}/bin/java"
        return ProcessBuilder(java, *arguments).redirectErrorStream(true).start()
    }
}
