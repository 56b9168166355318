import java.io.ByteArrayOutputStream
import java.io.PrintStream
import java.nio.file.Path
import kotlin.concurrent.thread
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import shaodao.Server
import shaodao.XIAO

/** The program of the README, run as it stands there. */
class ExampleTest {
    @Test
    fun `the example does what it says`(@TempDir folder: Path) {
        Server(folder).use { server ->
            val said = ByteArrayOutputStream()
            val out = System.out
            System.setOut(PrintStream(said, true, Charsets.UTF_8))
            try {
                val phone = folder.resolve("example").also { it.toFile().mkdirs() }
                val program = thread { main(arrayOf(server.address, server.ticket(XIAO), "$phone")) }
                var code: String? = null
                while (program.isAlive && code == null) {
                    code = Regex("Check code: (\\d{6})").find(said.toString(Charsets.UTF_8))?.groupValues?.get(1)
                    Thread.onSpinWait()
                }
                code?.let { server.confirm(it) }
                program.join()
            } finally {
                System.setOut(out)
            }
            val text = said.toString(Charsets.UTF_8)
            assertTrue("萧桂英: 1 on this phone" in text && "Accepted: 1" in text, text)
        }
    }
}
