package action.mobile.app

import action.mobile.app.benchmark.BenchmarkRequest
import action.mobile.app.camera.CameraTrouble
import action.mobile.recognizer.Part
import action.mobile.recognizer.Seen
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LiveViewModelTest : ViewModelRig() {
    @Test
    fun `the model is loaded, then the preview shown, then the camera opened`() {
        val model = viewModel()
        model.entered(screen, Permission.GRANTED)
        assertEquals(listOf<UiState>(UiState.Starting), shown)
        settle()
        val running = model.state as UiState.Running
        val choices = listOf(Choice("cpu", "xnnpack"), Choice("gpu", "vulkan"))
        assertEquals(ModelFacts("cpu", "xnnpack", choices, emptyList()), running.model)
        assertNull(running.figures)
        assertEquals(emptyList<String>(), camera.calls)
        model.surface(true)
        assertEquals(listOf("open"), camera.calls)
    }

    @Test
    fun `gestures appear, and go into the history when they end`() {
        val model = live(viewModel())
        programs.opened.last().logits = floatArrayOf(0f, 6f, 0f)
        frames(model, 0..2)
        assertEquals("Wave", (model.state as UiState.Running).figures?.gesture)
        programs.opened.last().logits = floatArrayOf(20f, 0f, 0f)
        frames(model, 3..6)
        val state = model.state as UiState.Running
        assertNull(state.figures?.gesture)
        assertEquals(listOf("Wave"), state.history.map { it.label })
    }

    @Test
    fun `a gesture ends with the camera that saw it`() {
        val model = live(viewModel())
        programs.opened.last().logits = floatArrayOf(0f, 6f, 0f)
        frames(model, 0..2)
        model.left(screen, turning = false)
        settle()
        model.entered(screen, Permission.GRANTED)
        val state = model.state as UiState.Running
        assertNull(state.figures)
        assertEquals(listOf("Wave"), state.history.map { it.label })
    }

    @Test
    fun `a gesture ends with the model that saw it`() {
        val model = live(viewModel())
        programs.opened.last().logits = floatArrayOf(0f, 6f, 0f)
        frames(model, 0..2)
        model.choose("gpu")
        settle()
        assertEquals(listOf("Wave"), (model.state as UiState.Running).history.map { it.label })
    }

    @Test
    fun `what the model is to see is kept for the next start`() {
        val chosen = Seen(mirrored = true, part = Part.LEFT)
        viewModel().see(chosen)
        val next = live(viewModel())
        assertEquals(chosen, (next.state as UiState.Running).seen)
        for (seen in Part.entries.map { Seen(part = it) }) assertEquals(seen, Seen.of(seen.noted()))
        for (other in listOf(null, "", "UPPER false", "LEFT")) assertEquals(Seen(), Seen.of(other))
    }

    @Test
    fun `no permission is a state of its own, with and without a way to ask`() {
        val model = viewModel()
        model.entered(screen, Permission.MISSING)
        settle()
        assertFalse((model.state as UiState.NeedsPermission).deniedForGood)
        model.answered(Permission.DENIED_FOR_GOOD)
        assertTrue((model.state as UiState.NeedsPermission).deniedForGood)
        model.answered(Permission.GRANTED)
        model.surface(true)
        assertTrue(model.state is UiState.Running)
        assertEquals(listOf("open"), camera.calls)
    }

    @Test
    fun `a device without a camera still has a benchmark`() {
        camera.plan = null
        val model = viewModel()
        model.entered(screen, Permission.MISSING)
        settle()
        assertTrue(model.state is UiState.NoCamera)
        model.benchmark(BenchmarkRequest(iterations = 2, seconds = 0))
        settle()
        assertTrue(model.state is UiState.BenchmarkDone)
    }

    @Test
    fun `the camera is closed in the background and opened again in the foreground`() {
        val model = live(viewModel())
        model.left(screen, turning = false)
        assertEquals(listOf("open", "close"), camera.calls)
        model.entered(screen, Permission.GRANTED)
        assertEquals(listOf("open", "close", "open"), camera.calls)
        // A turned device: the surface goes and another comes.
        model.surface(false)
        model.surface(true)
        assertEquals(listOf("open", "close", "open", "close", "open"), camera.calls)
        assertEquals(2, programs.opened.size, "one for the self-check, one for all frames")
    }

    @Test
    fun `a permission that is taken back in the background closes nothing twice`() {
        val model = live(viewModel())
        model.left(screen, turning = false)
        model.entered(screen, Permission.MISSING)
        assertEquals(listOf("open", "close"), camera.calls)
        assertTrue(model.state is UiState.NeedsPermission)
    }

    @Test
    fun `a lost camera comes back by itself, a broken one when asked`() {
        val model = live(viewModel())
        model.trouble(camera.opening, CameraTrouble.LOST)
        main.runAll()
        assertEquals(CameraTrouble.LOST, (model.state as UiState.CameraLost).trouble)
        model.available()
        main.runAll()
        assertTrue(model.state is UiState.Running)
        assertEquals(listOf("open", "open"), camera.calls)

        model.trouble(camera.opening, CameraTrouble.FAILED)
        main.runAll()
        model.available()
        main.runAll()
        assertEquals(CameraTrouble.FAILED, (model.state as UiState.CameraLost).trouble)
        model.retry()
        assertTrue(model.state is UiState.Running)
        assertEquals(listOf("open", "open", "open"), camera.calls)
    }

    @Test
    fun `trouble of a camera that was closed meanwhile is passed over`() {
        val model = live(viewModel())
        model.trouble(camera.opening, CameraTrouble.IN_USE)
        model.left(screen, turning = false)
        main.runAll()
        model.entered(screen, Permission.GRANTED)
        assertTrue(model.state is UiState.Running)
    }

    @Test
    fun `a camera that is plugged in is used, and one that is pulled out is gone`() {
        val plan = camera.plan
        camera.plan = null
        val model = live(viewModel())
        model.available()
        main.runAll()
        assertTrue(model.state is UiState.NoCamera)
        camera.plan = plan
        model.available()
        main.runAll()
        assertTrue(model.state is UiState.Running)
        assertEquals(listOf("open"), camera.calls)
        camera.plan = null
        model.trouble(camera.opening, CameraTrouble.LOST)
        main.runAll()
        model.retry()
        assertTrue(model.state is UiState.NoCamera)
    }

    @Test
    fun `trouble of an earlier opening does not stop the camera that came after it`() {
        val model = live(viewModel())
        model.trouble(camera.opening, CameraTrouble.FAILED) // on its way to the main thread
        model.surface(false)
        model.surface(true)
        main.runAll()
        assertTrue(model.state is UiState.Running)
        model.left(screen, turning = false)
        assertEquals(listOf("open", "close", "open", "close"), camera.calls, "nothing stays open unseen")
    }

    @Test
    fun `a camera that is opened again has seen nothing yet`() {
        val model = live(viewModel())
        frames(model, 0..0)
        model.surface(false)
        model.frame(FakeFrame(100_000_000L).frame) // was under way
        settle()
        model.surface(true)
        assertNull((model.state as UiState.Running).figures)
    }

    @Test
    fun `no bundle is a line, and a pushed one is found by trying again`() {
        val model = viewModel(*emptyArray())
        model.entered(screen, Permission.GRANTED)
        settle()
        assertTrue("adb push" in (model.state as UiState.BundleProblem).line)
        TinyBundle("new").write(File(root, "pushed"))
        model.retry()
        settle()
        assertEquals("new", model.state.model?.name)
    }

    @Test
    fun `frames are given back while there is no model`() {
        val frame = FakeFrame(0)
        viewModel().frame(frame.frame)
        assertEquals(1, frame.released)
    }

    @Test
    fun `another backend is opened, the old program closed, and the choice remembered`() {
        val model = live(viewModel())
        val first = programs.opened.last()
        model.choose("gpu")
        assertEquals(UiState.Starting, model.state)
        settle()
        assertEquals("vulkan", model.state.model?.backend)
        assertEquals(1, first.closed)
        assertEquals(listOf("open", "close", "open"), camera.calls)
        programs.opened.last().close() // that process ended
        val again = viewModel()
        again.entered(screen, Permission.GRANTED)
        settle()
        assertEquals("vulkan", again.state.model?.backend)
    }

    @Test
    fun `a backend that computes nonsense falls back on the screen`() {
        programs.wrong += "vulkan"
        val model = live(viewModel())
        model.choose("gpu")
        settle()
        assertEquals("xnnpack", model.state.model?.backend)
        assertTrue(model.state.model!!.notices.single().startsWith("gpu is not used"))
        assertTrue(log.any { it.startsWith("gpu is not used") })
    }

    @Test
    fun `a driver that fails while it runs is replaced and the camera goes on`() {
        val model = live(viewModel())
        model.choose("gpu")
        settle()
        programs.opened.last().failure = "device lost"
        val frames = frames(model, 0..3)
        assertEquals(listOf(1, 1, 1, 1), frames.map { it.released })
        assertEquals("xnnpack", model.state.model?.backend)
        assertEquals(listOf("gpu is not used: device lost"), model.state.model?.notices)
        assertEquals("open", camera.calls.last())
    }

    @Test
    fun `a frame that was queued behind another choice does not run on the closed program`() {
        val model = live(viewModel())
        val late = FakeFrame(0)
        worker.meanwhile = { model.choose("gpu") }
        model.frame(late.frame)
        settle()
        assertEquals(1, late.released)
        assertEquals("vulkan", model.state.model?.backend)
        assertEquals(emptyList<String>(), model.state.model?.notices)
    }

    @Test
    fun `a failure that is told after another choice is not blamed on that one`() {
        val model = live(viewModel())
        programs.opened.last().failure = "device lost"
        model.frame(FakeFrame(0).frame)
        worker.runAll() // has failed, and the main thread does not know yet
        model.choose("gpu")
        settle()
        assertEquals("vulkan", model.state.model?.backend)
        assertEquals(emptyList<String>(), model.state.model?.notices)
    }

    @Test
    fun `the only model that fails is a problem, not a crash`() {
        val model = live(viewModel(TinyBundle("cpu")))
        programs.opened.last().failure = "out of memory"
        frames(model, 0..0)
        assertEquals(UiState.BundleProblem("cpu: out of memory"), model.state)
        assertEquals("close", camera.calls.last())
    }

    @Test
    fun `a screen of before that says goodbye late changes nothing`() {
        val model = live(viewModel())
        val next = mutableListOf<UiState>()
        model.entered({ next += it }, Permission.GRANTED)
        assertEquals(listOf(model.state), next)
        model.left(screen, turning = false)
        assertEquals(listOf("open"), camera.calls)
        frames(model, 0..0)
        assertEquals(model.state, next.last())
        assertEquals(2, next.size)
    }
}
