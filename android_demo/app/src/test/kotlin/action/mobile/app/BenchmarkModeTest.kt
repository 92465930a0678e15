package action.mobile.app

import action.mobile.app.benchmark.BenchmarkRequest
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class BenchmarkModeTest : ViewModelRig() {
    @Test
    fun `a benchmark closes the camera, writes a report and gives the camera back`() {
        val model = live(viewModel())
        model.benchmark(BenchmarkRequest(iterations = 3, seconds = 0))
        assertTrue(model.state is UiState.Benchmarking)
        assertEquals(listOf("open", "close"), camera.calls)
        settle()
        val done = model.state as UiState.BenchmarkDone
        assertTrue(File(done.report.path).isFile)
        assertTrue(log.any { it.startsWith("report written: ") })
        model.backToCamera()
        assertTrue(model.state is UiState.Running)
        assertEquals(listOf("open", "close", "open"), camera.calls)
        frames(model, 0..1)
        assertEquals(listOf(1, 1, 1, 0), programs.opened.map { it.closed }, "check, camera, benchmark, camera")
    }

    @Test
    fun `a script's benchmark measures the very first load`() {
        live(viewModel()).left(screen, turning = false) // an earlier process: its self-check is remembered
        programs.opened.last().close()
        val before = programs.opened.size
        val model = viewModel()
        model.benchmark(BenchmarkRequest(iterations = 2, seconds = 0))
        assertEquals(UiState.Starting, model.state)
        model.entered(screen, Permission.MISSING)
        settle()
        assertTrue(model.state is UiState.BenchmarkDone)
        assertEquals(2, programs.opened.size - before, "the benchmark's, then the camera's")
    }

    @Test
    fun `a script may name the bundle`() {
        val model = viewModel()
        model.benchmark(BenchmarkRequest(bundle = "gpu", iterations = 2, seconds = 0))
        model.entered(screen, Permission.GRANTED)
        settle()
        assertEquals("vulkan", (model.state as UiState.BenchmarkDone).report.backend)
    }

    @Test
    fun `a benchmark ends when the app leaves the screen, and says so`() {
        val model = live(viewModel())
        model.benchmark(BenchmarkRequest(iterations = 1, seconds = 3600))
        model.left(screen, turning = false)
        settle() // asks whether to go on, and is told not to
        model.entered(screen, Permission.GRANTED)
        assertTrue(model.state is UiState.Running)
        assertTrue(model.state.model!!.notices.single().startsWith("the measurement was stopped"))
        assertNull(File(root, "reports").list())
    }

    @Test
    fun `a script that names no bundle there is gets no report of another`() {
        val model = viewModel()
        model.benchmark(BenchmarkRequest(bundle = "gone", iterations = 2, seconds = 0))
        model.entered(screen, Permission.GRANTED)
        settle()
        assertEquals("no report: no bundle gone can be read; there are cpu, gpu", log.last())
        assertTrue(model.state is UiState.Running)
        assertNull(File(root, "reports").list())
    }

    @Test
    fun `a report is told even if the model does not come back`() {
        val model = live(viewModel())
        programs.most = programs.opened.size + 1
        model.benchmark(BenchmarkRequest(iterations = 2, seconds = 0))
        settle()
        assertEquals(UiState.BundleProblem("out of memory"), model.state)
        assertTrue(log.any { it.startsWith("report written: ") })
    }

    @Test
    fun `a benchmark without a model is a problem`() {
        val model = viewModel(*emptyArray())
        model.benchmark(BenchmarkRequest())
        model.entered(screen, Permission.GRANTED)
        settle()
        assertTrue(model.state is UiState.BundleProblem)
    }

    @Test
    fun `a benchmark goes on while the device is turned`() {
        val model = live(viewModel())
        model.benchmark(BenchmarkRequest(iterations = 1, seconds = 1)) // long enough to be asked whether to go on
        model.left(screen, turning = true)
        model.surface(false)
        settle()
        val next = mutableListOf<UiState>()
        model.entered({ next += it }, Permission.GRANTED)
        assertTrue(next.single() is UiState.BenchmarkDone)
    }
}
